"""A tracker that fails."""

import logging

import pytest
from transformers import TrainerCallback
from transformers.integrations import integration_utils

from htpo.engines.trl.trackers import outlive_trackers
from htpo.errors import UserError
from tests.engines.tiny import config, trainer


class Failing(TrainerCallback):
    def __init__(self, event: str, update: int):
        self.update, self.calls = update, []
        setattr(self, event, self.fail)

    def fail(self, args, state, control, **kwargs):
        self.calls.append(state.global_step)
        if state.global_step == self.update:
            raise ConnectionError("no route\nto host")


def run_with(tracker, tiny_model, tmp_path, monkeypatch):
    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "wandb", Failing)
    host = trainer(tiny_model, config(tmp_path, max_steps=4), callbacks=[tracker])
    outlive_trackers(host.callback_handler.callbacks)
    host.train()
    return host


def test_one_that_is_gone_in_the_middle_of_a_run_is_left_out_and_said_once(tiny_model, tmp_path, monkeypatch, caplog):
    tracker = Failing("on_log", update=2)
    with caplog.at_level(logging.WARNING):
        host = run_with(tracker, tiny_model, tmp_path, monkeypatch)
    assert host.state.global_step == 4
    assert tracker.calls == [1, 2]
    said = [record.message for record in caplog.records if "report_to" in record.message]
    assert said == ["report_to wandb failed and is left out from here on (ConnectionError: no route to host)"]


def test_one_that_cannot_begin_is_refused_before_the_first_update(tiny_model, tmp_path, monkeypatch):
    tracker = Failing("on_train_begin", update=0)
    with pytest.raises(UserError, match=r"report_to wandb cannot begin \(ConnectionError: no route to host\): see to"):
        run_with(tracker, tiny_model, tmp_path, monkeypatch)
