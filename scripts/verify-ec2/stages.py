"""Where the questions are asked: two nodes in one subnet, a private address that moves, three Elastic IPs and a
route table. `Given` is one that is there already (the sandbox); aws.py makes one in an account.
"""

import concurrent.futures
import contextlib
import json
import time
import urllib.request

import botocore.exceptions


class NotHere(Exception):
    """This stage cannot settle the question; says why."""


class Node:
    def __init__(self, instance, interface, address):
        self.instance, self.interface, self.address = instance, interface, address


class Stage:
    """`eips` maps rider, trunk and spare to (allocation id, public address)."""

    destination = "10.99.0.0/24"
    moves = nowhere = None  # the private address that moves, and one that nobody has
    watch = 8.0  # seconds that are watched after a change
    every = 0.1  # between two reads: they have a token bucket too
    calm = 6.0  # a change has arrived when all reads of so many seconds show it

    def __init__(self, ec2):
        self.ec2, self.nodes, self.eips, self.table = ec2, [], {}, None
        # Who has `moves` by our last call, since reads may lag.
        self.holder = None
        # When the first node was told to stop, and how long that took.
        self.stopped_at = self.stop_took = None

    # Changes

    def associate(self, name, node, to=None, reassociate=True):
        answer = self.ec2.associate_address(
            AllocationId=self.eips[name][0], NetworkInterfaceId=node.interface,
            PrivateIpAddress=to or node.address, AllowReassociation=reassociate,
        )
        return answer.get("AssociationId")

    def free(self, name):
        """The Elastic IP goes nowhere, and all reads show it."""
        def is_free():
            association = self.association(name)
            if association:
                # An old read names an old association, whose refusal says nothing.
                self.refusal(lambda: self.ec2.disassociate_address(AssociationId=association))
            return not association

        self.until(is_free)

    def assign(self, node, reassign=True):
        self.ec2.assign_private_ip_addresses(
            NetworkInterfaceId=node.interface, PrivateIpAddresses=[self.moves], AllowReassignment=reassign
        )
        self.holder = node

    def put(self, node):
        """The node has the address that moves, whether it had it or not."""
        if self.holder is not node:
            self.assign(node)

    def free_private(self):
        """No interface has the address that moves, and all reads show it."""
        def is_free():
            holders = self.holders()
            for interface in holders:
                call = dict(NetworkInterfaceId=interface, PrivateIpAddresses=[self.moves])
                self.refusal(lambda: self.ec2.unassign_private_ip_addresses(**call))
            return not holders

        self.until(is_free)
        self.holder = None

    def create_route(self, node):
        self.ec2.create_route(**self._route(node))

    def replace_route(self, node):
        self.ec2.replace_route(**self._route(node))

    def _route(self, node):
        return dict(
            RouteTableId=self.table, DestinationCidrBlock=self.destination, NetworkInterfaceId=node.interface
        )

    def route(self, node):
        """The route leads to this node, whether it was there or not."""
        (self.replace_route if self.route_to() else self.create_route)(node)

    def delete_route(self):
        if self.route_to():
            self.ec2.delete_route(RouteTableId=self.table, DestinationCidrBlock=self.destination)

    def tag(self, value):
        self.ec2.create_tags(Resources=[self.table], Tags=[{"Key": "standin-counter", "Value": value}])

    def stop(self, instance):
        self.ec2.stop_instances(InstanceIds=[instance], Force=True, SkipOsShutdown=True)

    # Reads

    def address(self, name):
        return self.ec2.describe_addresses(AllocationIds=[self.eips[name][0]])["Addresses"][0]

    def association(self, name):
        return self.address(name).get("AssociationId")

    def holders(self):
        """The interfaces that have the private address that moves."""
        ids = [node.interface for node in self.nodes]
        found = self.ec2.describe_network_interfaces(
            Filters=[{"Name": "network-interface-id", "Values": ids}]
        )["NetworkInterfaces"]
        return [
            it["NetworkInterfaceId"] for it in found
            if any(at["PrivateIpAddress"] == self.moves for at in it["PrivateIpAddresses"])
        ]

    def _table(self):
        return self.ec2.describe_route_tables(RouteTableIds=[self.table])["RouteTables"][0]

    def route_to(self):
        routes = self._table()["Routes"]
        return next((it for it in routes if it.get("DestinationCidrBlock") == self.destination), {})

    def tagged(self):
        return next((it["Value"] for it in self._table()["Tags"] if it["Key"] == "standin-counter"), None)

    def state(self, node):
        found = self.ec2.describe_instances(InstanceIds=[node.instance])["Reservations"]
        return found[0]["Instances"][0]["State"]["Name"]

    # Ways of asking

    @staticmethod
    def refusal(call):
        """("OK", "") or code and message of the refusal."""
        try:
            call()
            return "OK", ""
        except botocore.exceptions.ClientError as error:
            return error.response["Error"]["Code"], error.response["Error"]["Message"]

    def race(self, call):
        """The codes of both nodes' calls, sent at the same time."""
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            return [code for code, _ in pool.map(lambda node: self.refusal(lambda: call(node)), self.nodes)]

    def until(self, true, seconds=60.0):
        """Waits until it has been true for `calm`."""
        began = since = time.monotonic()
        while time.monotonic() - since < self.calm:
            time.sleep(self.every)
            if not true():
                since = time.monotonic()
            if since - began > seconds:
                raise NotHere(f"EC2 did not show a change within {seconds:.0f} s")

    # What not every stage has

    def metadata(self, node):
        raise NotHere("no metadata can be read here")

    def reached(self, name):
        raise NotHere("no packets flow here")

    @contextlib.contextmanager
    def protected(self, kind):
        raise NotHere("no protection can be set here")
        yield


class Given(Stage):
    """A sandbox, from the JSON that it printed: instances one and two, `protected-stop`, `protected-termination`;
    Elastic IPs rider, trunk and spare; the first secondary address moves; the first table."""

    watch, every, calm = 0.8, 0.01, 0.5

    def __init__(self, ec2, description):
        super().__init__(ec2)
        instances = {it["name"]: it for it in description["instances"]}
        self.instances = instances
        for name in ("one", "two"):
            at = instances[name]["interfaces"][0]
            self.nodes.append(Node(instances[name]["instance_id"], at["id"], at["address"]))
        self.moves, self.holder = instances["one"]["interfaces"][0]["secondary"][0], self.nodes[0]
        self.nowhere = "10.0.0.200"
        self.table = description["route_tables"][0]["id"]
        for it in description["elastic_ips"]:
            self.eips[it["name"]] = (it["allocation_id"], it["public_ip"])

    def metadata(self, node):
        url = next(it["imds_url"] for it in self.instances.values() if it["instance_id"] == node.instance)
        return "\n".join(local_ipv4s(url))

    @contextlib.contextmanager
    def protected(self, kind):
        yield self.instances[f"protected-{kind}"]["instance_id"]


def local_ipv4s(url):
    """All private addresses that an instance's metadata shows."""
    def get(path, method="GET", **headers):
        request = urllib.request.Request(f"{url}/latest/{path}", method=method, headers=headers)
        return urllib.request.urlopen(request, timeout=5).read().decode()

    token = get("api/token", "PUT", **{"X-aws-ec2-metadata-token-ttl-seconds": "60"})
    headers = {"X-aws-ec2-metadata-token": token}
    macs = get("meta-data/network/interfaces/macs/", **headers).split()
    return [get(f"meta-data/network/interfaces/macs/{mac}local-ipv4s", **headers) for mac in macs]


def read_description(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)
