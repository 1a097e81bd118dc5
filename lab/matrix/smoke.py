"""The smoke scenarios: few, from every folder, that show most of what differs between machines."""

from __future__ import annotations

NAME = "smoke"
"""What they are called together, as in `--scenarios smoke`."""

SCENARIOS = (
    "images/test_archives.py::test_save_and_load_give_the_same_image",
    "isolation/test_namespaces.py::test_a_mount_inside_does_not_leak",
    "isolation/test_namespaces.py::test_host_modes_are_the_host",
    "isolation/test_namespaces.py::test_the_namespaces_differ_from_the_host",
    "isolation/test_namespaces.py::test_the_network_has_a_loopback_of_its_own",
    "layers/test_copy_on_write.py::test_the_root_is_an_overlay",
    "layers/test_copy_on_write.py::test_whiteouts_hold_in_a_committed_image",
    "lifecycle/test_exit.py::test_pause_freezes",
    "lifecycle/test_exit.py::test_stop_is_a_signal_and_then_a_kill",
    "limits/test_limits.py::test_cpu_shares_and_sets",
    "limits/test_limits.py::test_cpus_are_a_quota",
    "limits/test_limits.py::test_limits_are_changed_while_it_runs",
    "limits/test_limits.py::test_memory_stands_in_the_cgroup_and_in_inspect",
    "limits/test_limits.py::test_the_number_of_processes",
    "limits/test_limits.py::test_too_much_memory_is_an_oom_kill_that_inspect_shows",
    "limits/test_limits.py::test_without_limits_there_are_none",
    "networks/test_bridge.py::test_a_published_port_answers_on_loopback",
    "networks/test_bridge.py::test_containers_reach_each_other",
    "security/test_privileges.py::test_a_device_that_was_not_given_can_not_be_opened",
    "security/test_privileges.py::test_hidden_and_read_only_paths",
    "security/test_privileges.py::test_seccomp_filters_by_default",
    "security/test_privileges.py::test_the_default_capabilities",
    "volumes/test_volumes.py::test_a_named_volume_outlives_its_container",
    "volumes/test_volumes.py::test_a_tmpfs_is_memory_and_goes_away",
)
