"""The way of the policy to servers apart from training, through a file."""

import asyncio

import torch

from htpo.engines.verl.cpu.weights import ThroughFile


def joined(count: int, roles: dict) -> list[ThroughFile]:
    ways = [ThroughFile(bucket_size=1) for _ in range(count)]
    for i, way in enumerate(ways):
        way.init_process_group(**{name: values[i] for name, values in roles.items()})
    return ways


def test_two_servers_get_the_weights_that_two_processes_send_and_no_file_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    names = [ThroughFile(bucket_size=1).prepare() for _ in range(4)]
    training, serving = ThroughFile.build_topology(2, 2, names)
    trainers, servers = joined(2, training), joined(2, serving)
    sent = {"a": torch.arange(3.0), "b": torch.ones(2, 2)}

    async def get(server: ThroughFile) -> dict:
        return {name: weight async for name, weight in server.receive_weights()}

    async def both_ways() -> list[dict]:
        waiting = [asyncio.create_task(get(server)) for server in servers]
        await asyncio.sleep(0)
        # The second process holds parts of the same weights; what it would write is not looked at.
        await trainers[1].send_weights((name, -weight) for name, weight in sent.items())
        await trainers[0].send_weights(sent.items())
        return await asyncio.wait_for(asyncio.gather(*waiting), 10)

    for got in asyncio.run(both_ways()):
        assert got.keys() == sent.keys()
        assert all(torch.equal(got[name], sent[name]) for name in sent)
    for way in trainers + servers:
        way.finalize()
    assert not [*tmp_path.iterdir()]
