"""Evaluate market makers: agents x regimes on paired seeds, experiments, the suite, replays.

python evaluate.py
python evaluate.py --agents inventory_skew,runs/NAME --regimes noise,informed --p-informed 0.5
python evaluate.py --sweep p_informed --agents fixed_spread:half_spread=2,inventory_skew
python evaluate.py --experiment all
python evaluate.py --suite --agents inventory_skew:tuned,ppo=runs/a+runs/b+runs/c
python evaluate.py --suite --compare results/a/suite.csv,results/b/suite.csv
python evaluate.py --replay --agents inventory_skew,runs/NAME --regimes informed --seed 3
"""

from agents.invocation import run_command


def _evaluate() -> None:
    # These imports take seconds. Here, Ctrl-C and SIGTERM are answered meanwhile.
    import tyro

    from agents.commands.evaluate import Arguments, main

    main(tyro.cli(Arguments))


if __name__ == "__main__":
    run_command("evaluate.py", _evaluate)
