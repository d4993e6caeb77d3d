"""What AWS does not document, as questions: the answers that there may be, what standin makes of each, where
both are simulated, and how the answer is found out on a stage (see stages.py).

docs/unverified.md prints this list (`verify-ec2 --list`); tests/outside checks that it does.
"""

import dataclasses
import time
import typing

from stages import NotHere

QUESTIONS = []
RACES = 10
MOVES = 10


@dataclasses.dataclass
class Question:
    """One question. `answers` maps each possible answer to what standin makes of it."""

    name: str
    ask: str
    answers: dict
    simulated: str
    settle: typing.Callable


def question(ask, answers, simulated):
    def add(function):
        name = function.__name__.replace("_", "-")
        QUESTIONS.append(Question(name, ask, answers, simulated, function))
        return function

    return add


def quirk(name):
    return f"sandbox, quirk `{name}`"


# Elastic IPs


@question(
    "Does an Elastic IP that followed its private address keep its association id?",
    {"keeps it": "nothing: standin uses no association id", "gets a new one": "the same"},
    quirk("new-association-after-move"),
)
def association_after_move(stage):
    one, two = stage.nodes
    stage.put(one)
    stage.until(lambda: stage.address("rider").get("NetworkInterfaceId") == one.interface)
    before = stage.association("rider")
    stage.put(two)
    stage.until(lambda: stage.address("rider").get("NetworkInterfaceId") == two.interface)
    after = stage.association("rider")
    return ("keeps it" if after == before else "gets a new one"), f"{before}, then {after}"


@question(
    "AssociateAddress to where the address goes already: which association id is answered?",
    {"the same one": "nothing: standin uses no association id", "a new one": "the same"},
    quirk("new-association-at-same-place"),
)
def association_at_same_place(stage):
    first = stage.associate("trunk", stage.nodes[0])
    second = stage.associate("trunk", stage.nodes[0])
    return ("the same one" if first == second else "a new one"), f"{first}, then {second}"


@question(
    "The same with AllowReassociation=false?",
    {"succeeds": "the take from nobody is done", "Resource.AlreadyAssociated": "reads; finds that it is its own"},
    quirk("refuse-same-place") + "; simulator, by seed",
)
def same_place_without_reassociation(stage):
    stage.associate("trunk", stage.nodes[0])
    stage.until(lambda: stage.address("trunk").get("NetworkInterfaceId") == stage.nodes[0].interface)
    code, message = stage.refusal(lambda: stage.associate("trunk", stage.nodes[0], reassociate=False))
    return ("succeeds" if code == "OK" else code), message


@question(
    "Is AllowReassociation=false refused if another Elastic IP is on the private address?",
    {
        "refused": "after three conflicts while EC2 says \"nobody's\", it is taken from anyone (6.2, 18.2)",
        "the other one loses its place": "the anchor is taken; what stood there was not ours",
    },
    quirk("evict-without-reassociation"),
)
def other_address_in_the_way(stage):
    stage.free("trunk")
    stage.associate("spare", stage.nodes[0])
    stage.until(lambda: stage.address("spare").get("NetworkInterfaceId") == stage.nodes[0].interface)
    code, message = stage.refusal(lambda: stage.associate("trunk", stage.nodes[0], reassociate=False))
    stage.free("spare")
    return ("the other one loses its place" if code == "OK" else "refused"), f"{code} {message}"


@question(
    "DisassociateAddress with an association id that counted once?",
    {"succeeds": "nothing: standin never disassociates", "InvalidAssociationID.NotFound": "the same"},
    quirk("refuse-past-association"),
)
def past_association(stage):
    past = stage.associate("trunk", stage.nodes[0])
    stage.free("trunk")
    code, message = stage.refusal(lambda: stage.ec2.disassociate_address(AssociationId=past))
    return ("succeeds" if code == "OK" else code), message


@question(
    "AssociateAddress to a private address that the interface does not have: which code?",
    {
        "InvalidParameterValue": "a refusal: repeated every 10 s, and shown",
        "InvalidPrivateIpAddress.NotFound": "a refusal as well",
        "another code": "a refusal as well, if it is none of a throttle, of credentials, or of a conflict",
    },
    "sandbox answers the first; `ErrorKind` treats all alike",
)
def address_that_is_not_there(stage):
    code, message = stage.refusal(lambda: stage.associate("trunk", stage.nodes[0], to=stage.nowhere))
    known = ("InvalidParameterValue", "InvalidPrivateIpAddress.NotFound")
    return (code if code in known else "another code"), f"{code} {message}"


@question(
    "Two nodes take a free Elastic IP at the same time, with AllowReassociation=false: how many succeed?",
    {
        "always one": "as standin counts on in rows 6 and 18",
        "sometimes both": "the later one holds it; the other reads that, and yields (row 5)",
    },
    "simulator: writes are linear; a call that lands late stands for the second answer",
)
def race_for_a_free_address(stage):
    def once():
        stage.free("trunk")
        return stage.race(lambda node: stage.associate("trunk", node, reassociate=False))

    return races(stage, once)


# Private addresses


@question(
    "AssignPrivateIpAddresses of an address that the interface has already?",
    {"succeeds": "the take is done", "refused": "reads; finds that it is its own"},
    quirk("refuse-own-address") + "; simulator, by seed",
)
def own_address(stage):
    stage.put(stage.nodes[0])
    code, message = stage.refusal(lambda: stage.assign(stage.nodes[0], reassign=False))
    return ("succeeds" if code == "OK" else "refused"), f"{code} {message}"


@question(
    "AssignPrivateIpAddresses of an address that another interface has, without AllowReassignment: which code?",
    {
        "InvalidParameterValue": "a conflict, if the message says \"move is not allowed\" or \"already assigned\"",
        "InvalidIPAddress.InUse": "a conflict",
        "Resource.AlreadyAssigned": "a conflict",
        "another code": "a refusal: the next try comes after 10 s and not after 1 s",
    },
    quirk("taken-code"),
)
def taken_address(stage):
    stage.put(stage.nodes[0])
    code, message = stage.refusal(lambda: stage.assign(stage.nodes[1], reassign=False))
    known = ("InvalidParameterValue", "InvalidIPAddress.InUse", "Resource.AlreadyAssigned")
    return (code if code in known else "another code"), f"{code} {message}"


@question(
    "Two nodes take a free private address at the same time, without AllowReassignment: how many succeed?",
    {"always one": "as standin counts on in rows 6 and 18", "sometimes both": "both read; one yields (row 5)"},
    "simulator, as above",
)
def race_for_a_free_private_address(stage):
    def once():
        stage.free_private()
        return stage.race(lambda node: stage.assign(node, reassign=False))

    return races(stage, once)


@question(
    "While a private address moves, does a read show it on both interfaces, or on none?",
    {
        "neither": "nothing",
        "on none": "\"nobody's\" counts only once settled (row 2)",
        "on both": "such a read counts as no answer, and is repeated",
    },
    "sandbox moves at once; simulator, stale reads and `Moved`",
)
def address_between_two(stage):
    seen = set()
    stage.put(stage.nodes[1])
    stage.until(lambda: stage.holders() == [stage.nodes[1].interface])
    for at in range(MOVES):
        stage.put(stage.nodes[at % 2])
        until = time.monotonic() + stage.watch
        while time.monotonic() < until:
            seen.add(len(stage.holders()))
            time.sleep(stage.every)
    answer = "on both" if 2 in seen else "on none" if 0 in seen else "neither"
    return answer, f"reads showed {', '.join(map(str, sorted(seen)))} holders"


# Routes


@question(
    "CreateRoute of a route that is there already, to the same interface?",
    {"RouteAlreadyExists": "a conflict: reads; finds that it is its own", "succeeds": "the take is done"},
    quirk("accept-same-route") + "; simulator, by seed",
)
def same_route(stage):
    stage.route(stage.nodes[0])
    code, message = stage.refusal(lambda: stage.create_route(stage.nodes[0]))
    return ("succeeds" if code == "OK" else code), message


@question(
    "ReplaceRoute of a route that is not there: which code?",
    {
        "InvalidRoute.NotFound": "the route is made by CreateRoute",
        "InvalidParameterValue": "the same, if the message says that there is no route",
        "another code": "a refusal: repeated every 10 s, and shown",
    },
    "tests of `src/cloud/aws/errors.rs` know both; sandbox answers the first",
)
def missing_route(stage):
    stage.delete_route()
    code, message = stage.refusal(lambda: stage.replace_route(stage.nodes[0]))
    known = ("InvalidRoute.NotFound", "InvalidParameterValue")
    stage.create_route(stage.nodes[0])
    return (code if code in known else "another code"), f"{code} {message}"


@question(
    "Is DryRun answered before the ids are looked up?",
    {"before": "a dry run shows permissions only", "after": "a dry run shows wrong ids too"},
    "sandbox answers the first; standin makes no dry run in a takeover",
)
def dry_run(stage):
    call = dict(AllocationId="eipalloc-00000000000000000", NetworkInterfaceId=stage.nodes[0].interface)
    code, message = stage.refusal(lambda: stage.ec2.associate_address(DryRun=True, **call))
    return ("before" if code == "DryRunOperation" else "after"), f"{code} {message}"


def races(stage, once):
    """`once` answers the codes of two nodes; how often more than one "OK"."""
    codes = [once() for _ in range(RACES)]
    both = sum(it.count("OK") > 1 for it in codes)
    if any("OK" not in it for it in codes):
        raise NotHere(f"in some race nobody succeeded: {codes}")
    losers = sorted({code for it in codes for code in it if code != "OK"})
    return ("sometimes both" if both else "always one"), f"{both} of {RACES} by both; refused with {losers}"
