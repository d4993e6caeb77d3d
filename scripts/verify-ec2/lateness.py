"""The questions about how late: reads, metadata, traffic, and an instance that stops."""

import time

from questions import MOVES, question
from stages import NotHere

SETTLE = 5.0  # seconds that standin lets reads lag (src/cluster/settings.rs, SETTLE)
EARLY = 2.0  # seconds by which a blackhole has to come before the last "stopping"


# How late


def lag(change, seen, stage):
    """After each change: how long until reads show it, and the last one that did not. The worst of them."""
    first, last = 0.0, 0.0
    for at in range(MOVES):
        wanted = change(at)
        began = time.monotonic()
        shown = None
        while time.monotonic() - began < stage.watch:
            sent = time.monotonic() - began
            if seen(wanted):
                shown = sent if shown is None else shown
            else:
                last = max(last, sent)
            time.sleep(stage.every)
        first = max(first, stage.watch if shown is None else shown)
    answer = "within 5 s" if last < SETTLE else "longer"
    return answer, f"shown after {first:.2f} s at worst; an old state read until {last:.2f} s; {MOVES} changes"


LATE = {
    "within 5 s": "as standin counts on (settled)",
    "longer": "a taker may yield on an old read; the group then moves once more",
}
LAGS = "sandbox, `lag`, and the fault `stale`; simulator: reads up to 4.9 s old"


@question("How long do reads of an Elastic IP show the state before AssociateAddress?", LATE, LAGS)
def lag_of_an_elastic_ip(stage):
    def change(at):
        stage.associate("trunk", stage.nodes[at % 2])
        return stage.nodes[at % 2].interface

    return lag(change, lambda wanted: stage.address("trunk").get("NetworkInterfaceId") == wanted, stage)


@question("How long do reads of interfaces show the state before AssignPrivateIpAddresses?", LATE, LAGS)
def lag_of_a_private_address(stage):
    def change(at):
        stage.put(stage.nodes[at % 2])
        return [stage.nodes[at % 2].interface]

    return lag(change, lambda wanted: stage.holders() == wanted, stage)


@question("How long do reads of a route table show the state before ReplaceRoute?", LATE, LAGS)
def lag_of_a_route(stage):
    def change(at):
        stage.replace_route(stage.nodes[at % 2])
        return stage.nodes[at % 2].interface

    return lag(change, lambda wanted: stage.route_to().get("NetworkInterfaceId") == wanted, stage)


@question(
    "How long do reads show the tag's value before CreateTags?",
    {"within 5 s": "as standin counts on (a counter at rest takes 30 s)", "longer": "up to 25 s is still safe"},
    LAGS,
)
def lag_of_a_tag(stage):
    def change(at):
        stage.tag(str(at))
        return str(at)

    return lag(change, lambda wanted: stage.tagged() == wanted, stage)


@question(
    "How long after AssignPrivateIpAddresses does the instance's metadata show the address?",
    {"within 5 s": "nothing: standin sets the guest's address without asking", "longer": "the same"},
    "sandbox, `remap-time`",
)
def lag_of_metadata(stage):
    def change(at):
        stage.put(stage.nodes[at % 2])
        return stage.nodes[at % 2]

    return lag(change, lambda node: stage.moves in stage.metadata(node), stage)


NO_PACKETS = "nowhere: the sandbox moves no packets"
TRAFFIC = {
    "within 5 s": "the takeover's figures plus this",
    "longer": "the same; callers wait longer than README says",
}


@question("How long after AssociateAddress does traffic from outside arrive at the new node?", TRAFFIC, NO_PACKETS)
def traffic_of_an_elastic_ip(stage):
    def change(at):
        stage.associate("trunk", stage.nodes[at % 2])
        return stage.nodes[at % 2].instance

    return lag(change, lambda wanted: stage.reached("trunk") == wanted, stage)


@question("And after AssignPrivateIpAddresses, by the Elastic IP that rides on the address?", TRAFFIC, NO_PACKETS)
def traffic_of_a_private_address(stage):
    # It lost the address when that was with nobody.
    stage.put(stage.nodes[0])
    stage.associate("rider", stage.nodes[0], to=stage.moves)

    def change(at):
        stage.put(stage.nodes[at % 2])
        return stage.nodes[at % 2].instance

    return lag(change, lambda wanted: stage.reached("rider") == wanted, stage)


# Stopping


@question(
    "StopInstances of an instance with stop protection: which code?",
    {
        "OperationNotPermitted": "fencing fails for good, by the choice made for that",
        "another code": "the same, if it is no throttle and none of credentials",
    },
    "sandbox answers the first",
)
def stop_protection(stage):
    with stage.protected("stop") as instance:
        code, message = stage.refusal(lambda: stage.stop(instance))
    if code == "OK":
        raise NotHere("StopInstances of a protected instance succeeded")
    return (code if code == "OperationNotPermitted" else "another code"), f"{code} {message}"


@question(
    "Can a private address be taken while its holder is stopping?",
    {"yes": "row 15 takes at \"stopping\"", "no": "row 15 repeats until it has stopped"},
    "sandbox answers the first; a fault `http` stands for the second",
)
def take_from_a_stopping_node(stage):
    one, two = stage.nodes
    stage.put(one)
    stage.replace_route(one)
    stage.stopped_at = time.monotonic()
    stage.stop(one.instance)
    code, message = stage.refusal(lambda: stage.assign(two))
    return ("yes" if code == "OK" else "no"), f"{code} {message}; state {stage.state(one)}"


@question(
    "Is a route a blackhole while the instance that it leads to is still stopping?",
    {"only once stopped": "orphaned a little later: proof (row 15) has taken it before", "already": "orphaned at once"},
    "sandbox and simulator answer the first",
)
def route_to_a_stopping_node(stage):
    if stage.stopped_at is None:
        raise NotHere("it needs the question before")
    black = ending = None
    while True:
        route, state = stage.route_to().get("State"), stage.state(stage.nodes[0])
        now = time.monotonic() - stage.stopped_at
        black = now if black is None and route == "blackhole" else black
        if state in ("running", "stopping"):
            ending = now
        elif stage.stop_took is None:
            stage.stop_took = now
        if black is not None and stage.stop_took is not None and now > stage.stop_took + stage.calm:
            break
        if now > 300:
            raise NotHere(f"after {now:.0f} s the route is {route}, the instance {state}")
        time.sleep(stage.every)
    # Reads of the one and of the other may be of different ages.
    early = ending is not None and ending - black > EARLY
    return ("already" if early else "only once stopped"), f"blackhole at {black:.1f} s, stopping until {ending:.1f} s"


@question(
    "How long does StopInstances with Force and SkipOsShutdown take until \"stopped\"?",
    {
        "within 30 s": "fencing before the take adds so much to a takeover",
        "longer": "the same; with `alongside` the take does not wait for it",
    },
    "sandbox, `hard-stop-time`; simulator",
)
def time_to_stop(stage):
    took = stage.stop_took
    if took is None:
        raise NotHere("it needs the two questions before")
    return ("within 30 s" if took < 30 else "longer"), f"{took:.1f} s"


@question(
    "Does termination protection refuse StopInstances?",
    {"no": "an instance with it can be fenced", "yes": "fencing fails for good, by the choice made for that"},
    "sandbox answers the first",
)
def termination_protection(stage):
    with stage.protected("termination") as instance:
        code, message = stage.refusal(lambda: stage.stop(instance))
    return ("no" if code == "OK" else "yes"), f"{code} {message}"
