"""Train a market maker by PPO.

python train.py
python train.py --regime informed --p-informed 0.5 --seed 1 --out runs/NAME
python train.py --regime noise --set latency=0.5 maker_fee=-0.1
python train.py --task informed-40
python train.py --algorithm recurrent_ppo
python train.py --resume runs/NAME --timesteps 20000000
python train.py --engine rllib --env-runners 2
"""

from agents.invocation import run_command


def _train() -> None:
    # These imports take seconds. Here, Ctrl-C and SIGTERM are answered meanwhile.
    import tyro

    from agents.commands.train import Arguments, main

    main(tyro.cli(Arguments))


if __name__ == "__main__":
    run_command("train.py", _train)
