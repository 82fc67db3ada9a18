"""The pictures of a training in TensorBoard: what they show, and that they change nothing."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import agents.training.trainer
import mm_gym
from agents.learned.policy import load
from agents.training import held_out
from agents.training.pictures import pictures_of
from mm_gym.evaluation.rollout import session_seeds
from tests.small_runs import CONFIG, UPDATE, a_run, weights
from tests.small_runs import small as small  # a fixture

pytestmark = pytest.mark.usefixtures("small")


def test_each_evaluation_draws_and_drawing_does_not_change_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, drawn = tmp_path / "plain", tmp_path / "drawn"
    agents.training.trainer.train(plain, a_run(3), evaluate_every=UPDATE)
    monkeypatch.setattr(held_out, "pictures_of", pictures_of)
    agents.training.trainer.train(drawn, a_run(3), evaluate_every=UPDATE)
    without, with_pictures = weights(plain), weights(drawn)
    assert without.keys() == with_pictures.keys()
    for name, value in without.items():
        np.testing.assert_array_equal(value, with_pictures[name])

    log = EventAccumulator(str(drawn / "tensorboard"))
    log.Reload()
    assert set(log.Tags()["images"]) == {f"pictures/{kind}" for kind in PICTURES}
    for kind in PICTURES:
        images = log.Images(f"pictures/{kind}")
        assert [image.step for image in images] == [UPDATE, 2 * UPDATE, 3 * UPDATE]
        assert len({image.encoded_image_string for image in images}) > 1  # the policy changes
        for image in images:
            colours = np.asarray(Image.open(io.BytesIO(image.encoded_image_string)))
            assert np.ptp(colours) > 200
    # The last picture of the session is that of the trained policy.
    (*_, last) = log.Images("pictures/session")
    shown = np.asarray(Image.open(io.BytesIO(last.encoded_image_string)))
    np.testing.assert_array_equal(shown, first_held_out_session(drawn))

    without_pictures = EventAccumulator(str(plain / "tensorboard"))
    without_pictures.Reload()
    assert not without_pictures.Tags()["images"]


PICTURES = ("quotes", "markout", "session")


def first_held_out_session(folder: Path) -> np.ndarray:
    agent = load(folder, CONFIG)
    environment = mm_gym.MarketMakingEnv(render_mode="rgb_array", **CONFIG.to_dict())
    seed = int(session_seeds(held_out.HELD_OUT_SEED, 1)[0])
    observation, _ = environment.reset(seed=seed)
    ended, state = False, None
    while not ended:
        action, state = agent.predict(observation, state)
        observation, _, ended, _, _ = environment.step(action)
    return environment.render()
