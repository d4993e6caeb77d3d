"""A stage of its own in an AWS account: made, used, and taken away again, everything found by its tag."""

import contextlib
import http.client
import json
import time
import urllib.request

import botocore.exceptions

from stages import NotHere, Node, Stage

TAG = "standin-verify"
PORT = 8080
# An instance that nobody cleans up ends itself (InstanceInitiatedShutdownBehavior is "terminate").
MINUTES = 90

# On each node: the addresses that move, as the agent would set them up; a page that tells who answers, and what
# the instance's metadata says at that moment; the end.
USER_DATA = r"""#!/bin/bash
shutdown -P +{minutes}
for address in {addresses}; do
    ip address add $address/32 dev "$(ip -o route show default | head -1 | sed 's/.* dev \([^ ]*\).*/\1/')"
done
cat > /root/page.py <<'PAGE'
import http.server, json, urllib.request
def get(path, method="GET", **headers):
    request = urllib.request.Request("http://169.254.169.254/latest/" + path, method=method, headers=headers)
    return urllib.request.urlopen(request, timeout=2).read().decode()
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        token = {{"X-aws-ec2-metadata-token":
                 get("api/token", "PUT", **{{"X-aws-ec2-metadata-token-ttl-seconds": "60"}})}}
        macs = get("meta-data/network/interfaces/macs/", **token).split()
        text = json.dumps({{
            "instance": get("meta-data/instance-id", **token),
            "local-ipv4s": [get("meta-data/network/interfaces/macs/" + mac + "local-ipv4s", **token)
                            for mac in macs],
        }}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
http.server.ThreadingHTTPServer(("", {port}), Page).serve_forever()
PAGE
systemd-run --unit verify-page python3 /root/page.py
"""


class Aws(Stage):
    """One VPC, one subnet, two instances, three Elastic IPs, two route tables, one security group."""

    network, moves, nowhere = "10.213.0.0/24", "10.213.0.50", "10.213.0.60"
    primaries = ("10.213.0.11", "10.213.0.12")
    # Where the Elastic IP "trunk" goes on each node: not the primary address, whose own public one it would end.
    places = ("10.213.0.51", "10.213.0.52")

    def __init__(self, ec2, run, options):
        super().__init__(ec2)
        self.run, self.options, self.pages, self.serve = run, options, {}, False

    # Making it

    def _tags(self, *kinds):
        tags = [{"Key": TAG, "Value": self.run}, {"Key": "Name", "Value": TAG}]
        return [{"ResourceType": kind, "Tags": tags} for kind in kinds]

    def make(self, say):
        ec2 = self.ec2
        say("a VPC with a subnet, an internet gateway, two route tables and a security group")
        vpc = ec2.create_vpc(CidrBlock=self.network, TagSpecifications=self._tags("vpc"))["Vpc"]["VpcId"]
        ec2.get_waiter("vpc_available").wait(VpcIds=[vpc])
        subnet = ec2.create_subnet(
            VpcId=vpc, CidrBlock=self.network, AvailabilityZone=self._zone(),
            TagSpecifications=self._tags("subnet"),
        )["Subnet"]["SubnetId"]
        gateway = ec2.create_internet_gateway(TagSpecifications=self._tags("internet-gateway"))
        gateway = gateway["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
        out, self.table = (
            ec2.create_route_table(VpcId=vpc, TagSpecifications=self._tags("route-table"))["RouteTable"]["RouteTableId"]
            for _ in range(2)
        )
        ec2.create_route(RouteTableId=out, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
        ec2.associate_route_table(RouteTableId=out, SubnetId=subnet)
        group = ec2.create_security_group(
            VpcId=vpc, GroupName=f"{TAG}-{self.run}", Description="standin verify-ec2",
            TagSpecifications=self._tags("security-group"),
        )["GroupId"]
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[{
            "IpProtocol": "tcp", "FromPort": PORT, "ToPort": PORT,
            "IpRanges": [{"CidrIp": self.options.source}],
        }])
        say(f"two instances, {self.options.type}, and three Elastic IPs")
        self.nodes = [self._launch(subnet, group, address) for address in self.primaries]
        for name in ("rider", "trunk", "spare"):
            made = ec2.allocate_address(Domain="vpc", TagSpecifications=self._tags("elastic-ip"))
            self.eips[name] = (made["AllocationId"], made["PublicIp"])
        ec2.get_waiter("instance_running").wait(InstanceIds=[it.instance for it in self.nodes])
        self._settle_in(say)

    def _zone(self):
        offers = self.ec2.describe_instance_type_offerings(
            LocationType="availability-zone",
            Filters=[{"Name": "instance-type", "Values": [self.options.type]}],
        )["InstanceTypeOfferings"]
        zones = sorted(it["Location"] for it in offers)
        if not zones:
            raise SystemExit(f"verify-ec2: no zone of this region offers {self.options.type}; name another --type")
        return zones[0]

    @classmethod
    def start_script(cls, port=PORT):
        addresses = " ".join((cls.moves, *cls.places))
        return USER_DATA.format(minutes=MINUTES, addresses=addresses, port=port)

    def _launch(self, subnet, group, address):
        made = self.ec2.run_instances(
            ImageId=self.options.image, InstanceType=self.options.type, MinCount=1, MaxCount=1,
            InstanceInitiatedShutdownBehavior="terminate", MetadataOptions={"HttpTokens": "required"},
            UserData=self.start_script(), TagSpecifications=self._tags("instance", "volume", "network-interface"),
            NetworkInterfaces=[{
                "DeviceIndex": 0, "SubnetId": subnet, "Groups": [group], "PrivateIpAddress": address,
                "AssociatePublicIpAddress": True, "DeleteOnTermination": True,
            }],
        )["Instances"][0]
        return Node(made["InstanceId"], made["NetworkInterfaces"][0]["NetworkInterfaceId"], address)

    def _settle_in(self, say):
        """The addresses that questions move, and what they find at the beginning."""
        for node, place in zip(self.nodes, self.places):
            self.ec2.assign_private_ip_addresses(NetworkInterfaceId=node.interface, PrivateIpAddresses=[place])
            found = self.ec2.describe_instances(InstanceIds=[node.instance])["Reservations"][0]["Instances"][0]
            self.pages[node.instance] = found.get("PublicIpAddress")
            node.address = place
        self.assign(self.nodes[0])
        self.associate("rider", self.nodes[0], to=self.moves)
        self.create_route(self.nodes[0])
        say("waiting for the pages of both instances, three minutes at most")
        until = time.monotonic() + self.options.page_wait
        while time.monotonic() < until and not self.serve:
            self.serve = all(map(self._page, self.pages.values()))
            time.sleep(1)

    # What only this stage has

    @staticmethod
    def _page(address, timeout=1.0):
        try:
            with urllib.request.urlopen(f"http://{address}:{PORT}/", timeout=timeout) as answer:
                return json.load(answer)
        except (OSError, ValueError, http.client.HTTPException):
            return None

    def metadata(self, node):
        page = self._page(self.pages[node.instance])
        if page is None:
            raise NotHere("the instance's page does not answer")
        return "\n".join(page["local-ipv4s"])

    def reached(self, name):
        if not self.serve:
            raise NotHere("the instances' pages do not answer")
        # What is lost on the way must not keep the next one waiting.
        page = self._page(self.eips[name][1], timeout=0.3)
        return page and page["instance"]

    @contextlib.contextmanager
    def protected(self, kind):
        instance = self.nodes[1].instance
        self._protect(instance, kind, True)
        try:
            yield instance
        finally:
            self._protect(instance, kind, False)

    def _protect(self, instance, kind, on):
        key = "DisableApiStop" if kind == "stop" else "DisableApiTermination"
        self.ec2.modify_instance_attribute(InstanceId=instance, **{key: {"Value": on}})


def leftovers(ec2, run=None):
    """What carries our tag: kind and id, in the order in which it can be deleted."""
    tag = {"Name": f"tag:{TAG}", "Values": [run]} if run else {"Name": "tag-key", "Values": [TAG]}
    alive = {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped", "shutting-down"]}
    reservations = ec2.describe_instances(Filters=[tag, alive])["Reservations"]
    found = [("instance", it["InstanceId"]) for all_of in reservations for it in all_of["Instances"]]
    for kind, call, key, name in (
        ("address", ec2.describe_addresses, "Addresses", "AllocationId"),
        ("security group", ec2.describe_security_groups, "SecurityGroups", "GroupId"),
        ("subnet", ec2.describe_subnets, "Subnets", "SubnetId"),
        ("route table", ec2.describe_route_tables, "RouteTables", "RouteTableId"),
        ("internet gateway", ec2.describe_internet_gateways, "InternetGateways", "InternetGatewayId"),
        ("VPC", ec2.describe_vpcs, "Vpcs", "VpcId"),
    ):
        found += [(kind, it[name]) for it in call(Filters=[tag])[key]]
    return found


def delete(ec2, kind, some_id):
    """Deletes one thing; an instance is gone when this returns."""
    if kind == "instance":
        for key in ("DisableApiStop", "DisableApiTermination"):
            with contextlib.suppress(botocore.exceptions.ClientError):
                ec2.modify_instance_attribute(InstanceId=some_id, **{key: {"Value": False}})
        ec2.terminate_instances(InstanceIds=[some_id])
        ec2.get_waiter("instance_terminated").wait(InstanceIds=[some_id])
    elif kind == "address":
        ec2.release_address(AllocationId=some_id)
    elif kind == "security group":
        ec2.delete_security_group(GroupId=some_id)
    elif kind == "subnet":
        ec2.delete_subnet(SubnetId=some_id)
    elif kind == "route table":
        for at in ec2.describe_route_tables(RouteTableIds=[some_id])["RouteTables"][0]["Associations"]:
            ec2.disassociate_route_table(AssociationId=at["RouteTableAssociationId"])
        ec2.delete_route_table(RouteTableId=some_id)
    elif kind == "internet gateway":
        found = ec2.describe_internet_gateways(InternetGatewayIds=[some_id])["InternetGateways"][0]
        for at in found["Attachments"]:
            ec2.detach_internet_gateway(InternetGatewayId=some_id, VpcId=at["VpcId"])
        ec2.delete_internet_gateway(InternetGatewayId=some_id)
    elif kind == "VPC":
        ec2.delete_vpc(VpcId=some_id)


def clean_up(ec2, run, say):
    """Takes everything away that carries our tag; several rounds, since some of it lets go late. What is left?"""
    for _ in range(6):
        left = leftovers(ec2, run)
        if not left:
            return []
        for kind, some_id in left:
            try:
                delete(ec2, kind, some_id)
                say(f"deleted {kind} {some_id}")
            except (botocore.exceptions.ClientError, botocore.exceptions.WaiterError) as error:
                say(f"{kind} {some_id}: {error}; trying again")
                time.sleep(5)
    return leftovers(ec2, run)
