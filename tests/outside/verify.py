"""Runs scripts/verify-ec2 where there is no AWS: its questions against the sandbox, as it is and with every quirk,
and the making and taking away of its stage against moto. Compares docs/unverified.md with its list.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SCRIPT = ROOT / "scripts/verify-ec2/verify-ec2"
PAGE = ROOT / "docs/unverified.md"

sys.path.insert(0, str(SCRIPT.parent))
import lateness  # noqa: E402, F401  (adds its own)
from aws import Aws  # noqa: E402
from questions import QUESTIONS  # noqa: E402

QUIRKS = """lag = "300ms"
remap-time = "200ms"
[settings.quirks]
new-association-after-move = true
new-association-at-same-place = true
refuse-same-place = true
evict-without-reassociation = true
refuse-own-address = true
accept-same-route = true
refuse-past-association = true
taken-code = "InvalidIPAddress.InUse"
"""
NO_PACKETS = ("traffic-of-an-elastic-ip", "traffic-of-a-private-address")
CHECKED, FAILED = [], []
ENV = {}


def check(name, right, found=""):
    if not right:
        FAILED.append(name)
        print(f"FAILED verify-ec2: {name}\n{found}", flush=True)
    CHECKED.append(name)


def run(*arguments):
    done = subprocess.run(
        [sys.executable, SCRIPT, *arguments], env=ENV, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=400, check=False,
    )
    return done.returncode, done.stdout, done.stderr


def answers(text):
    """Question name -> (answer, what was seen)."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")][1:]
    return {row[0].split(":")[0]: (row[1], row[2] if len(row) > 2 else "") for row in rows}


def sandbox(binary, work, name, text):
    """The answers of a sandbox with this description."""
    config, printed = work / f"{name}.toml", work / f"{name}.json"
    config.write_text(text)
    with open(printed, "w") as out:
        serving = subprocess.Popen([binary, "sandbox", "--config", config, "--json"], stdout=out)
    try:
        while not printed.read_text().endswith("\n"):
            if serving.poll() is not None:
                return {}, "the sandbox has ended"
        if name == "plain":
            page_of_an_instance(work, json.loads(printed.read_text())["instances"][0])
        code, out, errors = run("--sandbox", str(printed))
        return answers(out), f"exit {code}\n{out}{errors}"
    finally:
        serving.terminate()
        serving.wait()


def page_of_an_instance(work, instance):
    """What an instance's start script writes is a page that asks its metadata; here, the sandbox's."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = Aws.start_script(port)
    syntax = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    check("the start script is bash", syntax.returncode == 0, syntax.stderr)
    page = work / "page.py"
    text = script.split("<<'PAGE'\n")[1].split("PAGE\n")[0]
    page.write_text(text.replace("http://169.254.169.254", instance["imds_url"]))
    serving = subprocess.Popen([sys.executable, page], stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                    found = json.load(answer)
                break
            except OSError as error:
                found = error
                time.sleep(0.05)
        wanted = {"instance": instance["instance_id"], "local-ipv4s": ["10.0.0.11\n10.0.0.100"]}
        check("the page tells instance and addresses", found == wanted, str(found))
    finally:
        serving.kill()
        serving.wait()


def questions(binary, work):
    text = (HERE / "verify.toml").read_text()
    quirked = text.replace("# quirks\n", QUIRKS)
    assert quirked != text
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        plain, other = pool.map(lambda it: sandbox(binary, work, *it), [("plain", text), ("quirked", quirked)])
    for it in QUESTIONS:
        first, second = list(it.answers)[:2]
        if it.name in NO_PACKETS:
            first = second = "not settled"
        elif "quirk" not in it.simulated:
            second = first
        for (found, printed), expected, where in ((plain, first, "as it is"), (other, second, "with quirks")):
            answer = found.get(it.name, ("nothing", ""))[0]
            check(f"{it.name}, sandbox {where}", answer == expected, f"expected {expected}, found {answer}\n{printed}")
        if it.name.startswith("lag-of"):
            seen = other[0].get(it.name, ("", ""))[1]
            check(f"{it.name} sees the lag", "until 0.00 s" not in seen, seen)


def stage(moto):
    here = ("--endpoint-url", moto, "--region", "eu-central-1", "--from", "192.0.2.1/32", "--image", "ami-12c6146b")
    mine = (*here, "--account", "123456789012")
    code, _, errors = run(*here, "--yes")
    check("without an account it refuses", code == 1 and "name the account" in errors, errors)
    code, _, errors = run(*here, "--account", "210987654321", "--yes")
    check("in another account it refuses", code == 1 and "not 210987654321" in errors, errors)
    code, _, errors = run("--endpoint-url", moto, "--account", "123456789012", "--region", "eu", "--yes")
    check("in no region it refuses", code == 1 and "name the region" in errors, errors)
    code, _, errors = run(*mine)
    check("without --yes it refuses", code == 1 and "--yes" in errors, errors)
    code, out, errors = run(*mine, "--yes", "--page-wait", "0", "--only", "same-route")
    check("a run asks, and takes everything away", code == 0 and "1 of 1 questions settled" in out, out + errors)
    clean("after a run", mine)
    interrupted(mine, signal.SIGTERM)
    clean("after SIGTERM", mine)
    interrupted(mine, signal.SIGKILL)
    code, _, errors = run(*mine, "--yes")
    check("what a killed run left is told", code == 1 and "left from an earlier run: VPC" in errors, errors)
    code, _, errors = run(*mine, "--clean-up")
    check("--clean-up takes it away", code == 0, errors)
    clean("after --clean-up", mine)


def clean(when, mine):
    code, _, errors = run(*mine, "--dry-run")
    check(f"nothing is left {when}", code == 0 and "It would make" in errors and "left from" not in errors, errors)


def interrupted(mine, number):
    """A run that is ended as soon as everything is made."""
    command = [sys.executable, SCRIPT, *mine, "--yes", "--page-wait", "120"]
    running = subprocess.Popen(command, env=ENV, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    lines = []
    for line in running.stderr:
        lines.append(line)
        if line.startswith("waiting for the pages"):
            running.send_signal(number)
    running.wait()
    ended = "taking everything away\n" in lines
    check(f"{number.name} in the middle", ended == (number == signal.SIGTERM), "".join(lines))


def page():
    _, listed, errors = run("--list")
    text = PAGE.read_text()
    before, _, rest = text.partition("<!-- list: ")
    head, _, rest = rest.partition("-->\n")
    _, _, after = rest.partition("<!-- end -->")
    wanted = f"{before}<!-- list: {head}-->\n\n{listed}\n<!-- end -->{after}"
    if os.environ.get("UPDATE_EXPECTED"):
        PAGE.write_text(wanted)
        return
    check("docs/unverified.md has the list (UPDATE_EXPECTED=1 writes it)", text == wanted, listed + errors)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", required=True, help="the program standin")
    parser.add_argument("--work", required=True, help="a folder for what is made", type=pathlib.Path)
    parser.add_argument("--moto", required=True, help="moto's URL")
    options = parser.parse_args()
    ENV.update(
        PATH=os.environ["PATH"], HOME="/nonexistent", PYTHONDONTWRITEBYTECODE="1", AWS_EC2_METADATA_DISABLED="true",
        AWS_ACCESS_KEY_ID="AKIAOUTSIDE", AWS_SECRET_ACCESS_KEY="secret",
    )
    page()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(questions, options.bin, options.work), pool.submit(stage, options.moto)]:
            done.result()
    print(f"verify-ec2: {len(CHECKED) - len(FAILED)} passed, {len(FAILED)} failed", flush=True)
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
