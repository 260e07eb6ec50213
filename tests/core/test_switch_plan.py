"""A switch's plan: in a safe order, whatever a switch is and shall be, and wherever it stops."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tashi.wire.errors import Code
from zoni.switch import steps
from zoni.switch.goals import completed, way_back
from zoni.switch.interface import Capability, Port, State, SwitchError
from zoni.switch.plan import Goal, Planned, Rules, Want, at_risk, differences, plan
from zoni.switch.steps import apply, say

ALL = frozenset(Capability)
NO = Rules()
NAMES = {1: "default", 100: "red", 200: "blue", 300: ""}
VLANS = st.sampled_from(sorted(NAMES))


def state(**ports: Any) -> State:
    return State(dict(NAMES), {name: Port(name, **fields) for name, fields in ports.items()})


def access(vlan: int, **more: Any) -> dict[str, Any]:
    return {"native": vlan, "untagged": (vlan,)} | more


def said(planned: list[Planned]) -> list[str]:
    return [say(each.step) for each in planned]


def vlan_sets(most: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.sets(VLANS, max_size=most).map(lambda each: tuple(sorted(each)))


@st.composite
def ports(draw: st.DrawFn, name: str) -> Port:
    """Any port, also one that nobody should have made."""
    untagged = draw(vlan_sets(2))
    tagged = tuple(vlan for vlan in draw(vlan_sets(3)) if vlan not in untagged)
    native = draw(st.one_of(st.just(0), VLANS))
    return Port(name, "", draw(st.booleans()), None, None, native, untagged, tagged, draw(st.booleans()))


@st.composite
def states(draw: st.DrawFn) -> State:
    return State(dict(NAMES), {name: draw(ports(name)) for name in ("p1", "p2", "p3")})


@st.composite
def goals(draw: st.DrawFn) -> Goal:
    """Seldom one that is refused."""
    created = draw(st.sampled_from([{}, {400: "green"}, {100: "red", 400: ""}]))
    there = [1, 100, 200, *([400] if created else [])]
    gone = draw(st.sampled_from([(), (), (300,)]))
    ports = {}
    for name in draw(st.sets(st.sampled_from(["p1", "p2", "p3"]), min_size=1)):
        native = draw(st.one_of(st.none(), st.just(0), st.sampled_from(there)))
        others = sorted(draw(st.sets(st.sampled_from(there), max_size=3)) - {native})
        tagged = None if native is None else draw(st.sampled_from([None, tuple(others)]))
        on, label = draw(st.sampled_from([None, True, False])), draw(st.sampled_from([None, "", "m-1"]))
        join = tuple(draw(st.sets(st.sampled_from(there), max_size=1)) - {native})
        leave = tuple(draw(st.sets(st.sampled_from([100, 200, 300]), max_size=2)))
        ports[name] = Want(native, tagged, on, label, join, leave)
    return Goal(created, gone, ports)


class Change(NamedTuple):
    before: State
    goal: Goal
    planned: list[Planned]


@st.composite
def changes(draw: st.DrawFn, goals: st.SearchStrategy[Goal]) -> Change:
    """What is not refused."""
    before, goal = draw(states()), draw(goals)
    try:
        return Change(before, goal, plan(before, goal, Rules(), ALL))
    except SwitchError:
        reject()


def say_on(goal: Goal) -> Goal:
    """The same, told as it has to be to be gone on with."""
    return replace(
        goal, ports={name: replace(each, on=True, native=each.native or 0) for name, each in goal.ports.items()}
    )


SLOW = [HealthCheck.filter_too_much, HealthCheck.too_slow]
few = settings(max_examples=50, deadline=None, suppress_health_check=SLOW)


def is_safe(port: Port, before: Port, after: Port) -> bool:
    """Closed; or in at most one VLAN, its old or its new one, unless nobody has touched yet what was wrong before."""
    if not port.on or port.heard_in == before.heard_in:
        return True
    return len(port.heard_in) <= 1 and port.heard_in <= before.heard_in | after.heard_in


@few
@given(changes(goals()))
def test_a_port_is_closed_or_in_one_vlan_wherever_the_plan_stops(change: Change) -> None:
    before, _, planned = change
    walked = [before]
    for each in planned:
        walked.append(apply(walked[-1], each.step))
    for now in walked:
        assert all(is_safe(now.ports[name], before.ports[name], walked[-1].ports[name]) for name in now.ports)


@few
@given(changes(goals()))
def test_a_port_that_was_opened_in_mid_move_is_not_in_two_vlans_either(change: Change) -> None:
    """A switch that starts anew in between, or says that it has closed a port and has not."""
    before, _, planned = change
    now = before
    for each in planned:
        now = apply(now, each.step)
        for name, port in now.ports.items():
            assert len(port.heard_in) <= max(1, len(before.ports[name].heard_in))


@few
@given(changes(goals()))
def test_it_ends_where_it_should_and_then_there_is_nothing_to_do(change: Change) -> None:
    before, goal, planned = change
    end = before
    for each in planned:
        end = apply(end, each.step)
    for vlan in goal.vlans:
        assert end.vlans[vlan] == goal.vlans[vlan]
    assert not set(goal.gone) & set(end.vlans)
    for name, want in goal.ports.items():
        port = end.ports[name]
        assert port.on == (before.ports[name].on if want.on is None else want.on)
        assert want.label in (None, port.label)
        if want.native is not None:
            assert (port.native, port.untagged) == (want.native, (want.native,) if want.native else ())
        if want.tagged is not None:
            assert set(port.tagged) == {*want.tagged, *want.join}
        assert set(want.join) <= set(port.tagged)
        assert not set(want.leave) - {*want.join, *(want.tagged or ()), want.native} & {*port.untagged, *port.tagged}
        assert not port.on or port.mode != "odd" or port.heard_in == before.ports[name].heard_in
    assert said(plan(end, goal, Rules(), ALL)) == ["save to the start-up configuration"]
    assert plan(end, goal, Rules(), ALL - {Capability.SAVE}) == []


@few
@given(changes(goals()), st.data())
def test_undone_from_anywhere_it_is_as_it_was(change: Change, data: st.DataObject) -> None:
    before, _, planned = change
    at = data.draw(st.integers(0, len(planned)))
    now = before
    for each in planned[:at]:
        now = apply(now, each.step)
    for each in reversed(planned[:at]):
        if each.undo is not None:
            now = apply(now, each.undo)
            for name, port in now.ports.items():
                assert not port.on or len(port.heard_in) <= max(1, len(before.ports[name].heard_in))
    assert now == before


@few
@given(changes(goals().map(say_on)))
def test_half_of_a_move_can_be_gone_on_with(change: Change) -> None:
    before, goal, planned = change
    """Killed anywhere and asked again, with the ports said on, it comes to the same end."""
    end = before
    for each in planned:
        end = apply(end, each.step)
    now = before
    for each in planned:
        again = now
        for step in plan(now, goal, Rules(), ALL):
            again = apply(again, step.step)
        assert again == end
        now = apply(now, each.step)


def test_a_move_in_words() -> None:
    planned = plan(state(p1=access(100)), Goal({400: "green"}, (), {"p1": Want(400)}), Rules(), ALL)
    assert said(planned) == [
        "create VLAN 400 (green)",
        "close p1",
        "take p1 out of VLAN 100",
        "let p1 take what has no tag for VLAN 400",
        "put p1 into VLAN 400, untagged",
        "read back",
        "open p1",
        "read back",
        "save to the start-up configuration",
    ]
    undone = [say(each.undo) for each in reversed(planned) if each.undo is not None]
    assert undone == [
        "close p1",
        "take p1 out of VLAN 400",
        "let p1 take what has no tag for VLAN 100",
        "put p1 into VLAN 100, untagged",
        "open p1",
        "destroy VLAN 400",
    ]
    assert at_risk(planned) == {"p1"}


def test_tagged_vlans_come_and_go_while_a_port_is_open() -> None:
    planned = plan(state(p1=access(1, tagged=(100,))), Goal(ports={"p1": Want(tagged=(200,))}), Rules(), ALL)
    assert said(planned)[:2] == ["take p1 out of VLAN 100", "put p1 into VLAN 200, tagged"]
    assert "close p1" not in said(planned)


def test_what_is_joined_and_left_leaves_the_rest_as_it_is() -> None:
    planned = plan(state(p1=access(1, tagged=(100, 300))), Goal(ports={"p1": Want(join=(200,), leave=(100,))}), NO, ALL)
    assert said(planned)[:2] == ["take p1 out of VLAN 100", "put p1 into VLAN 200, tagged"]
    assert "close p1" not in said(planned)


def test_who_leaves_its_untagged_vlan_is_in_none_without_a_tag() -> None:
    planned = plan(state(p1=access(100, tagged=(200,))), Goal(ports={"p1": Want(leave=(100,))}), NO, ALL)
    assert said(planned)[:3] == ["close p1", "take p1 out of VLAN 100", "let p1 drop what has no tag"]
    assert "take p1 out of VLAN 200" not in said(planned) and said(planned)[-3] == "open p1"


def test_a_vlan_that_is_left_and_wanted_is_changed_from_tagged_to_native() -> None:
    planned = plan(state(p1=access(1, tagged=(100,))), Goal(ports={"p1": Want(100, leave=(100,))}), NO, ALL)
    end = state(p1=access(1, tagged=(100,)))
    for each in planned:
        end = apply(end, each.step)
    assert (end.ports["p1"].untagged, end.ports["p1"].tagged) == ((100,), ())


def test_a_vlan_goes_once_its_ports_have_left_it() -> None:
    before = state(up=access(1, tagged=(100, 200)))
    planned = plan(before, Goal(gone=(100,), ports={"up": Want(leave=(100,))}), Rules(uplinks=("up",)), ALL)
    assert said(planned)[:2] == ["take up out of VLAN 100", "destroy VLAN 100"]


def test_what_belongs_to_another_domain_may_be_left() -> None:
    rules = Rules("red", {200: "blue"})
    assert plan(state(p1=access(1, tagged=(200,))), Goal(ports={"p1": Want(leave=(200,))}), rules, ALL)


def test_ports_of_one_change_are_opened_together() -> None:
    goal = Goal(ports={"p1": Want(200), "p2": Want(200)})
    words = said(plan(state(p1=access(100), p2=access(100)), goal, Rules(), ALL))
    assert words[-5:-1] == ["read back", "open p1", "open p2", "read back"]
    assert max(words.index(f"put {port} into VLAN 200, untagged") for port in ("p1", "p2")) < words.index("read back")


def test_what_is_for_nobody_reaches_uplinks_and_ports_of_the_domain_and_makes_vlans_by_their_own_name() -> None:
    rules = Rules("", {100: "red", 200: "blue"}, {"p2": "blue"}, ("up",))
    before = state(up=access(1), p1=access(1), p2=access(1))
    goal = Goal({200: "blue"}, (), {"up": Want(join=(100, 200))})
    assert said(plan(before, goal, rules, ALL))[:2] == [f"put up into VLAN {vlan}, tagged" for vlan in (100, 200)]
    assert plan(before, Goal(ports={"p2": Want(200)}), rules, ALL)
    for other in (replace(goal, ports={"p1": Want(join=(200,))}), Goal({200: "x"}), Goal(gone=(200,))):
        with pytest.raises(SwitchError, match="VLAN 200 is in domain blue"):
            plan(before, other, rules, ALL)


def test_vlans_that_go_leave_the_uplinks_and_those_of_another_name_stay() -> None:
    before = state(up=access(1, tagged=(100, 200, 300)), p1=access(1))
    rules, goal = Rules(uplinks=("up", "p9"), called="red"), Goal(gone=(100, 200, 400))
    whole = completed(before, goal, rules, ALL)
    assert whole == Goal(gone=(100, 400), ports={"up": Want(leave=(100,))})
    assert said(plan(before, whole, rules, ALL))[:2] == ["take up out of VLAN 100", "destroy VLAN 100"]
    used = replace(before, ports=before.ports | {"p1": Port("p1", tagged=(100,))})
    with pytest.raises(SwitchError, match="VLAN 100 is in use by p1"):
        plan(used, whole, rules, ALL)
    unnamed = replace(before, vlans=dict.fromkeys(NAMES, ""))
    assert completed(unnamed, goal, rules, frozenset()).ports == {"up": Want(leave=(100, 200))}


def test_who_is_open_in_a_vlan_of_the_domain_and_is_no_member_refuses_it() -> None:
    rules = Rules("blue", {200: "blue"}, uplinks=("up",), members=("p2",))
    before = state(p1=access(1), p2=access(200), up=access(1, tagged=(200,)), p3=access(1, tagged=(200,)))
    goal = Goal(ports={"p1": Want(200, (), True)})
    with pytest.raises(SwitchError, match="p3: is in VLAN 200, and no machine of domain blue is there"):
        plan(before, goal, rules, ALL)
    closed = replace(before, ports=before.ports | {"p3": replace(before.ports["p3"], on=False)})
    assert plan(closed, goal, rules, ALL) and plan(before, goal, replace(rules, members=None), ALL)


def test_an_uplink_that_carries_every_vlan_goes_on_so() -> None:
    every = frozenset({Capability.FILTER})
    before = State({}, {"up": Port("up", filters=False), "down": Port("down", tagged=(7,))})
    goal, rules = Goal(ports={name: Want(join=(100,)) for name in before.ports}), Rules(uplinks=("up", "down"))
    whole = completed(before, goal, rules, every)
    assert said(plan(before, whole, rules, every))[:-1] == ["put down into VLAN 100, tagged"]
    assert completed(before, goal, rules, ALL) == goal, "where VLANs are made, a port in none carries none"


@few
@given(changes(goals()), st.data())
def test_the_way_back_leads_back_and_leaves_alone_what_others_did(change: Change, data: st.DataObject) -> None:
    end = change.before
    for each in change.planned:
        end = apply(end, each.step)
    back = way_back(change.before, end, change.planned)
    joined = data.draw(st.sampled_from(sorted(end.ports)))
    others = steps.Join(joined, 500, True)
    end = replace(apply(end, others), vlans=end.vlans | {500: "others"})
    try:
        planned = plan(end, back, Rules(), ALL)
    except SwitchError:
        reject()  # it was odd before: untagged in two
    for each in planned:
        end = apply(end, each.step)
    assert end.vlans == change.before.vlans | {500: "others"}
    for name, port in end.ports.items():
        was = change.before.ports[name]
        assert (500 in port.tagged) == (name == joined)
        if was.untagged == ((was.native,) if was.native else ()):
            assert set(port.tagged) - {500} == set(was.tagged)
            assert (port.on, port.native, port.untagged, port.label) == (was.on, was.native, was.untagged, was.label)


def test_a_port_that_passes_what_is_not_its_own_is_mended_when_it_is_touched() -> None:
    words = said(plan(state(p1=access(100, filters=False)), Goal(ports={"p1": Want(200)}), Rules(), ALL))
    assert words.index("close p1") < words.index("let p1 drop what is of other VLANs") < words.index("open p1")


@pytest.mark.parametrize("want", [Want(join=(100,)), Want(tagged=(100,))])
def test_a_port_that_drops_what_has_no_tag_does_not_come_to_take_it_in(want: Want) -> None:
    """Its native VLAN is none that it is in: as a member of that it would be in two."""
    before = state(p1={"native": 100, "untagged": (1,)})
    with pytest.raises(SwitchError) as refused:
        plan(before, Goal(ports={"p1": want}), Rules(domain="red", domains={100: "red"}), ALL)
    assert refused.value.text == "p1: is untagged in VLAN 1, and its native one is 100"
    plan(before, Goal(ports={"p1": replace(want, native=1)}), Rules(domain="red", domains={100: "red"}), ALL)


def test_without_a_capability_there_is_no_step_for_it() -> None:
    goal = Goal({400: "green"}, (), {"p1": Want(400)})
    words = said(plan(state(p1=access(100)), goal, Rules(), frozenset()))
    assert "create VLAN 400 (green)" not in words and "save to the start-up configuration" not in words


@pytest.mark.parametrize(
    ("goal", "code", "text"),
    [
        (Goal(ports={"p1": Want(4095)}), Code.BAD_REQUEST, "4095 is no VLAN: they are 1 to 4094"),
        (Goal(ports={"p1": Want(tagged=(0,))}), Code.BAD_REQUEST, "0 is no VLAN: they are 1 to 4094"),
        (Goal(ports={"p1": Want(-1)}), Code.BAD_REQUEST, "-1 is no VLAN: they are 1 to 4094"),
        (Goal(ports={"p1": Want(join=(4095,))}), Code.BAD_REQUEST, "4095 is no VLAN: they are 1 to 4094"),
        (Goal(ports={"p1": Want(leave=(4095,))}), Code.BAD_REQUEST, "4095 is no VLAN: they are 1 to 4094"),
        (Goal(ports={"p1": Want(join=(200,))}), Code.CONFLICT, "VLAN 200 is in domain blue"),
        (Goal(ports={"p1": Want(join=(400,))}), Code.NOT_FOUND, "p1: there is no VLAN 400"),
        (Goal(ports={"p1": Want(join=(100,))}), Code.WRONG_STATE, "p1: is untagged in VLAN 100"),
        (Goal({0: "x"}), Code.BAD_REQUEST, "0 is no VLAN: they are 1 to 4094"),
        (Goal({1003: "x"}), Code.IMPOSSIBLE, "VLAN 1003 is reserved (1002 to 1005)"),
        (Goal({100: "x"}), Code.CONFLICT, "VLAN 100 is taken: it is red"),
        (Goal({300: "x"}), Code.CONFLICT, "VLAN 300 is taken: it is there without a name"),
        (Goal({200: "blue"}), Code.CONFLICT, "VLAN 200 is in domain blue"),
        (Goal(ports={"p1": Want(200)}), Code.CONFLICT, "VLAN 200 is in domain blue"),
        (Goal(ports={"p1": Want(tagged=(200,))}), Code.CONFLICT, "VLAN 200 is in domain blue"),
        (Goal(gone=(200,)), Code.CONFLICT, "VLAN 200 is in domain blue"),
        (Goal(gone=(1,)), Code.IMPOSSIBLE, "VLAN 1 can't be destroyed"),
        (Goal({400: "x"}, gone=(400,)), Code.IMPOSSIBLE, "VLAN 400 can't be destroyed"),
        (Goal(gone=(100,)), Code.WRONG_STATE, "VLAN 100 is in use by p1, p2"),
        (Goal(ports={"p9": Want(100)}), Code.NOT_FOUND, "there is no port p9"),
        (Goal(ports={"p1": Want(400)}), Code.NOT_FOUND, "p1: there is no VLAN 400"),
        (Goal(gone=(300,), ports={"p1": Want(300)}), Code.NOT_FOUND, "p1: there is no VLAN 300"),
        (Goal(ports={"p1": Want(100, (100,))}), Code.BAD_REQUEST, "p1: VLAN 100 can't be native and tagged"),
        (Goal(ports={"p2": Want(1)}), Code.WRONG_STATE, "p2: is an uplink, and would have to be closed"),
        (Goal(ports={"p3": Want(on=True)}), Code.WRONG_STATE, "p3: is untagged in VLANs 1 and 300"),
    ],
)
def test_what_can_not_be_is_refused_before_anything_is_done(goal: Goal, code: Code, text: str) -> None:
    now = state(p1=access(100), p2=access(100), p3={"native": 1, "untagged": (1, 300), "on": False})
    with pytest.raises(SwitchError) as caught:
        plan(now, goal, Rules("red", {100: "red", 200: "blue"}, uplinks=("p2",)), ALL)
    assert (caught.value.code, caught.value.text) == (code, text)


def test_what_is_not_as_it_should_be_is_told() -> None:
    now = state(p1=access(100))
    planned = plan(now, Goal({400: "green"}, (), {"p1": Want(400, label="m-1")}), Rules(), ALL)
    should = now
    for each in planned:
        should = apply(should, each.step)
    assert differences(should, should, planned) == []
    assert differences(should, now, planned) == ["VLAN 400 is not there", "p1 is native 100, untagged 100, label empty"]
    assert differences(should, replace(should, ports={}), planned) == ["p1 is not there"]


def test_every_step_is_said_and_told_from_the_others() -> None:
    each: list[Any] = [steps.Create(2, "x"), steps.Destroy(2), steps.Close("p"), steps.Open("p"), steps.Leave("p", 2)]
    each += [steps.Join("p", 2, True), steps.Join("p", 2, False), steps.Native("p", 2), steps.Native("p", 0)]
    each += [steps.Filter("p", True), steps.Filter("p", False), steps.Label("p", "x"), steps.Prove(), steps.Save()]
    assert len({say(step) for step in each}) == len(each)
