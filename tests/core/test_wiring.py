"""What is made of MAC tables and LLDP: every kind of finding, and that none is wrong on any tree of switches."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tashi.model import wiring
from tashi.model.wiring import Finding, Machine, Neighbour, Nic, Plug, Told, Verdict, said, uplinks

M1, M2, M3 = (f"52:54:00:00:00:0{number}" for number in (1, 2, 3))
OTHER, GUEST = "00:1b:21:00:00:09", "02:42:ac:11:00:02"
BASE1, BASE2 = "00:1b:21:aa:00:01", "00:1b:21:aa:00:02"
SWITCHES = {"s0": "", "s1": BASE1, "s2": BASE2, "s3": ""}
UP = {f"p{number}": "" for number in range(1, 9)}


def machine(name: str, mac: str, *plugs: str) -> Machine:
    """Each of ``plugs`` is SWITCH:PORT."""
    return Machine(name, (Nic(mac, "eth0"),), tuple(Plug(*each.split(":")) for each in plugs))


def told(*stations: tuple[str, str], switch: str = "s1", **more: object) -> Told:
    return Told(switch, **{"ports": UP, "stations": stations} | more)  # type: ignore[arg-type]


def compare(machines: list[Machine], heard: list[Told]) -> list[Finding]:
    return wiring.compare(machines, heard, SWITCHES)


def one(found: list[Finding], name: str = "m1") -> tuple[str, str, str, str]:
    (only,) = [each for each in found if each.machine == name]
    return only.verdict, only.port, only.was, only.why


def test_it_agrees_is_new_or_contradicts() -> None:
    heard = [told((M1, "p1"))]
    assert one(compare([machine("m1", M1, "s1:p1")], heard)) == ("agrees", "s1:p1", "s1:p1", "")
    assert one(compare([machine("m1", M1)], heard)) == ("new", "s1:p1", "", "")
    assert one(compare([machine("m1", M1, "s1:p2")], heard)) == ("contradicts", "s1:p1", "s1:p2", "")


def test_two_that_were_swapped_contradict_each_other() -> None:
    found = compare([machine("m1", M1, "s1:p1"), machine("m2", M2, "s1:p2")], [told((M1, "p2"), (M2, "p1"))])
    assert one(found) == ("contradicts", "s1:p2", "s1:p1", "s1:p2 is m2's in the records")
    assert one(found, "m2") == ("contradicts", "s1:p1", "s1:p2", "s1:p1 is m1's in the records")


def test_a_port_of_another_machine_contradicts_though_nothing_was_known() -> None:
    found = compare([machine("m1", M1), machine("m2", M2, "s1:p1")], [told((M1, "p1"))])
    assert one(found) == ("contradicts", "s1:p1", "", "s1:p1 is m2's in the records")
    assert one(found, "m2") == ("unheard", "", "s1:p1", "not heard")


def test_several_behind_a_port_are_an_uplink_or_a_hub() -> None:
    both = [machine("m1", M1), machine("m2", M2)]
    assert one(compare(both, [told((M1, "p1"), (M2, "p1"))])) == (
        "ambiguous", "", "", "heard at s1:p1 with m2: an uplink or a hub",
    )  # fmt: skip
    assert one(compare(both, [told((M1, "p1"), (OTHER, "p1"))]))[3] == (
        "heard at s1:p1 with 1 of nobody's: an uplink or a hub"
    )


def test_of_many_behind_a_port_some_are_named() -> None:
    def named(count: int, *others: tuple[str, str]) -> str:
        macs = [f"52:54:00:00:00:{number:02x}" for number in range(count)]
        machines = [machine(f"n{number}", mac) for number, mac in enumerate(macs)]
        return one(compare(machines, [told(*((mac, "p1") for mac in macs), *others)]), "n1")[3]

    assert named(3) == "heard at s1:p1 with n0 and n2: an uplink or a hub"
    assert named(5) == "heard at s1:p1 with n0, n2, n3 and 1 more: an uplink or a hub"
    assert named(3, (OTHER, "p1")) == "heard at s1:p1 with n0, n2 and 1 of nobody's: an uplink or a hub"
    assert named(9, (OTHER, "p1")) == "heard at s1:p1 with n0, n2, n3 and 6 more: an uplink or a hub"


def test_two_nics_of_one_machine_behind_one_port_are_no_proposal() -> None:
    both = Machine("m1", (Nic(M1, "eth0"), Nic(M2, "eth1")))
    assert {each.verdict for each in compare([both], [told((M1, "p1"), (M2, "p1"))])} == {"ambiguous"}


def test_guests_and_containers_do_not_count() -> None:
    assert one(compare([machine("m1", M1)], [told((M1, "p1"), (GUEST, "p1"))]))[:2] == ("new", "s1:p1")


def test_two_ports_without_company_are_ambiguous() -> None:
    found = compare([machine("m1", M1, "s1:p1")], [told((M1, "p1")), told((M1, "p8"), switch="s2")])
    assert one(found) == ("ambiguous", "", "s1:p1", "heard at s1:p1 and s2:p8")


def test_an_uplink_that_nobody_told_of_shows_by_its_company() -> None:
    heard = [told((M1, "p1"), (M2, "p2")), told((M1, "p8"), (M2, "p8"), switch="s2")]
    found = compare([machine("m1", M1), machine("m2", M2)], heard)
    assert one(found) == ("new", "s1:p1", "", "also heard at s2:p8 with m2")


def test_uplinks_are_the_records_those_of_lldp_and_where_a_switch_speaks() -> None:
    lldp = told(switch="s2", neighbours=[Neighbour("p7", "core", "Gi1/0/1", "s1")])
    found = uplinks([told((BASE2, "p8"), uplinks=frozenset({"p6"})), lldp], SWITCHES)
    assert found == {("s1", "p6"): "", ("s1", "p8"): "s2", ("s2", "p7"): "s1"}
    own = told((BASE1, "p1"), neighbours=[Neighbour("p1", BASE1, "p2", "s1")])
    assert uplinks([own], SWITCHES) == {}, "its own voice"
    assert uplinks([told((BASE2, "p8"))], {"s1": "", "s2": ""}) == {}


def test_a_port_to_a_switch_that_was_not_asked_is_no_machines() -> None:
    heard = [told((M1, "p8"), neighbours=[Neighbour("p8", "core", "p1", "s2")])]
    assert one(compare([machine("m1", M1)], heard))[:2] == ("unheard", "")


def test_what_is_heard_at_an_uplink_alone_is_told() -> None:
    found = compare([machine("m1", M1)], [told((M1, "p8"), uplinks=frozenset({"p8"}))])
    assert one(found) == ("unheard", "", "", "heard at s1:p8 alone, which leads to other switches")


def test_lldp_settles_it_among_many() -> None:
    speaks = Neighbour("p1", "host", M1)
    found = compare([machine("m1", M1), machine("m2", M2)], [told((M1, "p1"), (M2, "p1"), neighbours=[speaks])])
    assert [(each.machine, each.port, each.by) for each in found] == [("m1", "s1:p1", "lldp,mac"), ("m2", "", "mac")]


def test_a_machine_at_what_the_records_call_an_uplink_contradicts() -> None:
    heard = [told(neighbours=[Neighbour("p8", M1, M1)], uplinks=frozenset({"p8"}))]
    assert one(compare([machine("m1", M1)], heard)) == (
        "contradicts", "s1:p8", "", "s1:p8 is an uplink in the records",
    )  # fmt: skip


def test_lldp_names_the_nic_by_its_chassis() -> None:
    two = Machine("m1", (Nic(M1, "eth0"), Nic(M2, "eth1")))
    found = compare([two], [told(neighbours=[Neighbour("p5", M1, "eth1")])])
    assert [(each.nic.name, each.port, each.by) for each in found] == [("eth0", "", ""), ("eth1", "s1:p5", "lldp")]
    assert [each.port for each in compare([two], [told(neighbours=[Neighbour("p5", M1, "unknown")])])] == ["", ""]
    one_nic = compare([machine("m1", M1)], [told(neighbours=[Neighbour("p5", M1, "unknown")])])
    assert one_nic[0].port == "s1:p5"


def test_lldp_and_the_mac_table_may_disagree() -> None:
    found = compare([machine("m1", M1)], [told((M1, "p2"), neighbours=[Neighbour("p1", M1, M1)])])
    assert one(found) == ("ambiguous", "", "", "LLDP says s1:p1, and it was heard at s1:p2")
    twice = [Neighbour("p1", M1, M1), Neighbour("p2", M1, M1)]
    assert one(compare([machine("m1", M1)], [told(neighbours=twice)]))[3] == "LLDP says s1:p1 and s1:p2"


def test_why_nothing_was_heard() -> None:
    m1 = machine("m1", M1, "s1:p1")
    assert one(compare([m1], [told(ports={"p1": "is closed"})]))[3] == "s1:p1 is closed"
    assert one(compare([m1], [told(switch="s2")]))[3] == "s1 was not asked, or gave no answer"
    assert one(compare([m1], [told(ports={"p2": ""})])) == ("contradicts", "", "s1:p1", "s1 has no port p1")
    assert one(compare([Machine("m1")], [told()]))[3] == "no NIC of it is in the records: zoni-set m1 --nic MAC"


def test_ports_without_a_nic_are_of_the_only_one_or_of_whichever_is_there() -> None:
    nics = (Nic(M1, "eth0"), Nic(M2, "eth1"))
    two = Machine("m1", nics, (Plug("s1", "p1"), Plug("s1", "p2")))
    found = compare([two], [told((M1, "p2"))])
    assert [(each.verdict, each.port, each.was) for each in found] == [
        ("agrees", "s1:p2", "s1:p2"), ("unheard", "", ""), ("unheard", "", "s1:p1"),
    ]  # fmt: skip
    named = Machine("m1", nics, (Plug("s1", "p1", M2),))
    assert [(each.nic.name, each.was) for each in compare([named], [told()])] == [("eth0", ""), ("eth1", "s1:p1")]


@st.composite
def trees(draw: st.DrawFn) -> tuple[list[Machine], list[Told], dict[str, str], bool]:
    """Switches in a tree, machines on ports of their own or on hubs, and what each switch heard of them.

    With it where each NIC really is, and whether the uplinks are known, by the records or LLDP, and ports may have
    forgotten.
    """
    count = draw(st.integers(1, 4))
    parents = [draw(st.integers(0, number - 1)) for number in range(1, count)]
    homes = draw(st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, 3)), max_size=6))
    records = draw(st.lists(st.sampled_from(["", "right", "wrong"]), min_size=len(homes), max_size=len(homes)))
    how = draw(st.sampled_from(["records", "lldp", "unknown"]))
    declared = how != "unknown"
    towards = [[at] for at in range(count)]  # the way from the root to each switch
    for child, parent in enumerate(parents, 1):
        towards[child] = [*towards[parent], child]

    def port(at: int, home: int, edge: int) -> str:
        """By which port of switch ``at`` what is at ``edge`` of switch ``home`` is heard."""
        if at == home:
            return f"p{edge}"
        way = towards[home]
        return f"down{way[way.index(at) + 1]}" if at in way else "up"

    macs = [f"52:54:00:00:01:{number:02x}" for number in range(len(homes))]
    stations: list[list[tuple[str, str]]] = [
        [(mac, port(at, *home)) for mac, home in zip(macs, homes, strict=True)] for at in range(count)
    ]
    if declared:  # then what was forgotten must not mislead
        stations = [[each for each in heard if draw(st.booleans())] for heard in stations]
    links = [{"up": f"s{parents[at - 1]}"} if at else dict[str, str]() for at in range(count)]
    for child, parent in enumerate(parents, 1):
        links[parent][f"down{child}"] = f"s{child}"
    ports = {f"p{number}": "" for number in range(4)}
    heard = [
        Told(
            f"s{at}",
            ports | dict.fromkeys(links[at], ""),
            stations[at],
            [Neighbour(port, "", "", other) for port, other in links[at].items()] if how == "lldp" else [],
            frozenset(links[at]) if how == "records" else frozenset(),
        )
        for at in range(count)
    ]
    truth = {mac: f"s{home}:p{edge}" for mac, (home, edge) in zip(macs, homes, strict=True)}
    machines = []
    for number, (mac, record) in enumerate(zip(macs, records, strict=True)):
        plugs = {"right": [truth[mac]], "wrong": [f"s0:elsewhere{number}"], "": []}[record]
        machines.append(machine(f"m{number}", mac, *plugs))
    return machines, heard, truth, declared


@given(trees())
def test_what_is_proposed_is_so(tree: tuple[list[Machine], list[Told], dict[str, str], bool]) -> None:
    machines, heard, truth, declared = tree
    shared = {place for place in truth.values() if list(truth.values()).count(place) > 1}
    for each in compare(machines, heard):
        assert not each.port or each.port == truth[each.nic.mac]
        assert (each.verdict in (Verdict.AGREES, Verdict.NEW)) <= bool(each.port)
        if not declared and each.port:
            assert each.port not in shared


@given(trees())
def test_where_all_is_known_everything_is_found(tree: tuple[list[Machine], list[Told], dict[str, str], bool]) -> None:
    machines, heard, truth, declared = tree
    by_switch = {each.switch: set(each.stations) for each in heard}
    for each in compare(machines, heard):
        switch, port = truth[each.nic.mac].split(":")
        alone = sum(place == truth[each.nic.mac] for place in truth.values()) == 1
        if declared and alone and (each.nic.mac, port) in by_switch[switch]:
            assert each.port == truth[each.nic.mac]


@given(trees())
def test_what_was_taken_over_agrees(tree: tuple[list[Machine], list[Told], dict[str, str], bool]) -> None:
    machines, heard, _, _ = tree
    found = {each.nic.mac: each.port for each in compare(machines, heard) if each.port}
    after = [
        each._replace(plugs=(Plug(*found[nic.mac].split(":")),)) if (nic := each.nics[0]).mac in found else each
        for each in machines
    ]
    again = [each for each in compare(after, heard) if each.port and each.verdict is not Verdict.AGREES]
    taken = {said(plug.place) for each in after if each.nics[0].mac not in found for plug in each.plugs}
    assert all(each.port in taken for each in again), "but where another machine's record has the port"
