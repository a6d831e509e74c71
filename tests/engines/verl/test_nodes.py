"""Every node of Ray has the plugin, or the run stops before it begins."""

from importlib.util import find_spec

import pytest

from htpo.engines.verl.nodes import SWITCH, installed, refuse_differences, refuse_lacking_nodes, switched_off
from htpo.errors import UserError

HERE = {"htpo": "0.1.0", "verl": "0.9.1", SWITCH: "auto"}


def test_nodes_that_have_the_same_pass():
    refuse_differences(HERE, {"10.0.0.2": HERE, "10.0.0.3": {**HERE, SWITCH: "other,htpo"}})


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ({**HERE, "htpo": "0.0.9"}, "has htpo 0.0.9, the driver 0.1.0: pip install htpo==0.1.0 there"),
        ({**HERE, "verl": None}, "has verl (none), the driver 0.9.1: pip install verl==0.9.1 there"),
        ({**HERE, SWITCH: "none"}, f"keeps verl from loading the plugin: unset {SWITCH} there (it is none)"),
        (ModuleNotFoundError("No module named 'htpo'"), "does not find htpo (No module named 'htpo')"),
    ],
)
def test_a_node_that_lacks_something_is_named_with_the_remedy(there, said):
    with pytest.raises(UserError) as caught:
        refuse_differences(HERE, {"10.0.0.2": HERE, "10.0.0.3": there})
    assert str(caught.value).startswith(f"the Ray node 10.0.0.3 {said}")
    assert "\n" not in str(caught.value)


def test_what_is_installed_here_is_known():
    assert set(installed()) == set(HERE)


@pytest.mark.parametrize(
    ("switch", "off"),
    [(None, False), ("auto", False), ("AUTO", False), ("none", True), ("other", True), ("other, htpo", False)],
)
def test_verl_s_switch_for_plugins_is_read_as_verl_reads_it(switch, off):
    assert switched_off(switch) is off


@pytest.mark.verl
@pytest.mark.ray
def test_a_second_node_of_ray_that_keeps_plugins_out_stops_the_run():
    if find_spec("verl") is None:
        pytest.skip("verl is not installed")
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        refuse_lacking_nodes()
        second = cluster.add_node(num_cpus=1, env_vars={SWITCH: "none"})
        with pytest.raises(UserError, match=f"unset {SWITCH} there"):
            refuse_lacking_nodes()
        cluster.remove_node(second)
        cluster.add_node(num_cpus=1)
        refuse_lacking_nodes()
    finally:
        ray.shutdown()
        cluster.shutdown()
