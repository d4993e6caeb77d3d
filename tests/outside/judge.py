"""Runs cases.py against the sandbox and against moto, with AWS's documentation as the judge.

Fails where the sandbox differs from the documentation, where moto does in a way that is not listed, and
where moto is listed as different but no longer is.
"""

import argparse
import concurrent.futures
import json
import sys
import time
import traceback

from cases import CASES, SAME
from targets import Moto, Sandbox


def outcome(case, target):
    target.fresh()
    try:
        return case.ask(target)
    except Exception as error:  # whatever it is, it is the outcome
        response = getattr(error, "response", None)
        if response:
            return "raised " + response["Error"]["Code"]
        return "raised " + traceback.format_exc(limit=-2)


def judge(cases, which, target):
    """How many cases passed, and how many failed."""
    passed, failed, began = 0, 0, time.monotonic()
    for case in cases:
        listed = which == "moto" and case.moto is not SAME
        expected = case.moto if listed else case.expected
        found = outcome(case, target)
        if found == expected:
            passed += 1
            continue
        failed += 1
        if listed and found == case.expected:
            why = "is listed as different, but does as documented: take it off the list"
        else:
            why = f"expected {expected!r}\n  found    {found!r}"
        print(f"FAILED {which}: {case.name} [{case.page}]\n  {why}", flush=True)
    print(f"{which}: {passed} passed, {failed} failed, {time.monotonic() - began:.0f} s", flush=True)
    return passed, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sandbox", help="file with the JSON that the sandbox printed")
    parser.add_argument("--moto", help="moto's URL; without it only the sandbox is asked")
    parser.add_argument("--aws", help="the AWS CLI's program")
    parser.add_argument("--only", default="", help="only cases whose name contains this")
    parser.add_argument("--differences", action="store_true", help="list moto's known differences and end")
    arguments = parser.parse_args()
    if arguments.differences:
        for it in CASES:
            if it.moto is not SAME:
                print(f"{it.name} [{it.page}]: documented {it.expected}, moto {it.moto}: {it.why}")
        return 0
    with open(arguments.sandbox, encoding="utf-8") as file:
        targets = [("sandbox", Sandbox(json.load(file), arguments.aws))]
    if arguments.moto:
        targets.append(("moto", Moto(arguments.moto, arguments.aws)))
    cases = [it for it in CASES if arguments.only in it.name]
    # Both at once: neither knows of the other.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        verdicts = list(pool.map(lambda it: judge(cases, *it), targets))
    passed, failed = sum(it[0] for it in verdicts), sum(it[1] for it in verdicts)
    print(f"{len(CASES)} cases, {sum(it.moto is not SAME for it in CASES)} known differences of moto")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
