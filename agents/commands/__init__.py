"""What train.py, evaluate.py and the console script `mm-gym` run."""
