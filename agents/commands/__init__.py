"""The commands `train` and `evaluate`: what train.py, evaluate.py and `mm-gym` run."""
