"""What of tashi.toml the controller takes while it runs: [placement]. The rest is read at a start only.

A file with an error changes nothing: the log and tashi-status say what is wrong with it until a better one is read.
"""

from __future__ import annotations

from functools import partial

from tashi.config import Config, load
from tashi.core import policy
from tashi.core.cluster import Cluster
from tashi.core.demands import Ratios
from tashi.run.log import Log
from tashi.sched.policy import Policy, parse_policy
from tashi.wire.errors import Code, Refused, TashiError
from tashid.shell import Shell

AT_A_START = ("controller", "quota", "pool", "networks")  # sections that the controller reads, but does not take


def policy_of(config: Config) -> tuple[Policy, Ratios]:
    """What [placement] says. Raises Refused (bad-request) for what placement does not know."""
    said = config.placement
    try:
        chosen = parse_policy(said.policy, said.filters, said.weights._asdict())
    except ValueError as error:
        raise Refused(
            Code.BAD_REQUEST, f"{config.file}: [placement]: {error}", "tashi.toml(5) says what there is"
        ) from error
    return chosen, Ratios(said.cores_ratio, said.memory_ratio)


class Reload:
    """``config`` is what the controller was started with; ``named`` the file that its command line names, or None."""

    def __init__(self, config: Config, named: str | None, cluster: Cluster, shell: Shell, log: Log) -> None:
        self._config, self._named, self._cluster, self._shell, self._log = config, named, cluster, shell, log

    def take(self, config: Config) -> None:
        """Decide by what a file says, if that is something else than what is stored."""
        before = self._cluster.state.index.policy.version
        adopt = partial(policy.adopt, policy=(said := policy_of(config))[0], ratios=said[1])
        if not self._shell.happened(adopt):
            self._log.error("the policy could not be stored: the former one stays", file=config.file)
        elif (version := self._cluster.state.index.policy.version) != before:
            changed = self._cluster.state.meta[policy.KEY].changed
            self._log.notice("another policy", version=version, changed=changed, file=config.file)

    def again(self) -> None:
        """SIGHUP: read the file once more."""
        state = self._cluster.state
        try:
            config = load(self._config.file or self._named)
            self.take(config)
        except TashiError as error:
            state.settings_refused = f"{error.text}; {error.hint}" if error.hint else error.text
            help = "mend it, try it with tashi-check --config, and send SIGHUP again"
            self._log.error("SIGHUP: the settings stay as they were", error=error.text, hint=error.hint or help)
            return
        state.settings_refused = ""
        later = ", ".join(self._wait_for_a_start(config))
        told = {"wait_for_a_start": later} if later else {}
        self._log.notice("SIGHUP: settings read", file=config.file, policy_version=state.index.policy.version, **told)

    def _wait_for_a_start(self, config: Config) -> list[str]:
        """The settings that differ from those of the start and are not taken now."""
        found = []
        for section in AT_A_START:
            old, new = getattr(self._config, section), getattr(config, section)
            if section == "networks":
                found += ["[network]"] if old != new else []
                continue
            found += [f"[{section}] {key}" for key in old._fields if getattr(old, key) != getattr(new, key)]
        return found
