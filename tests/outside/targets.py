"""The two EC2s that the cases run against, behind the same face: the sandbox and moto."""

import json
import os
import subprocess
import time
import urllib.request

import boto3
import botocore.config
import botocore.exceptions
import botocore.parsers

REGION = "eu-central-1"


def post(url):
    urllib.request.urlopen(urllib.request.Request(url, data=b"", method="POST"), timeout=60).read()


class Target:
    """One EC2 with the VPC of vpc.toml in it. `id` maps names to ids, `name` ids to names."""

    def __init__(self, url, key, secret, aws):
        self.url, self.key, self.secret, self.aws = url, key, secret, aws
        self.ec2 = self.client(key, secret)
        self.id, self.public, self.changed = {}, {}, True
        # What only describes leaves the VPC fresh for the next case.
        self.ec2.meta.events.register("before-call.ec2", self.note)

    def note(self, model, **_):
        self.changed = self.changed or not model.name.startswith("Describe")

    def fresh(self):
        """A VPC as in vpc.toml."""
        if self.changed:
            self.reset()
        self.changed = False

    def client(self, key, secret):
        config = botocore.config.Config(
            # The service is to judge the parameters, once; not the client, and not again.
            parameter_validation=False,
            retries={"total_max_attempts": 1},
            connect_timeout=5,
            read_timeout=60,
        )
        return boto3.client(
            "ec2",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=config,
        )

    def name(self, some_id):
        names = {v: k for k, v in self.id.items()}
        return names.get(some_id, some_id)

    def names(self, ids):
        return sorted(self.name(it) for it in ids)

    def code(self, call, **arguments):
        """"OK", or the code of the refusal."""
        try:
            getattr(self.ec2, call)(**arguments)
            return "OK"
        except botocore.exceptions.ClientError as error:
            return error.response["Error"]["Code"]
        except botocore.parsers.ResponseParserError:
            return "an answer that is no XML"

    def cli(self, *arguments):
        """What `aws ec2 …` prints, as JSON; or the code of the refusal."""
        self.changed = self.changed or not arguments[0].startswith("describe")
        env = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        done = subprocess.run(
            [self.aws, "ec2", *arguments, "--output", "json"],
            env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        )
        if done.returncode == 0:
            return json.loads(done.stdout) if done.stdout.strip() else "OK"
        if "An error occurred (" in done.stderr:
            return done.stderr.split("An error occurred (")[1].split(")")[0]
        return done.stderr.strip()

    # What the cases look at.

    def eip(self, name):
        """Where an Elastic IP goes: "interface/private address", or None."""
        it = self.ec2.describe_addresses(AllocationIds=[self.id[name]])["Addresses"][0]
        if not it.get("AssociationId"):
            return None
        return f"{self.name(it.get('NetworkInterfaceId'))}/{it.get('PrivateIpAddress')}"

    def association(self, name):
        it = self.ec2.describe_addresses(AllocationIds=[self.id[name]])["Addresses"][0]
        return it.get("AssociationId")

    def interface(self, name):
        return self.ec2.describe_network_interfaces(NetworkInterfaceIds=[self.id[name]])["NetworkInterfaces"][0]

    def addresses(self, name):
        return [it["PrivateIpAddress"] for it in self.interface(name)["PrivateIpAddresses"]]

    def riders(self, name):
        """The Elastic IPs that an interface shows, by private address."""
        public = {v: k for k, v in self.public.items()}
        rows = self.interface(name)["PrivateIpAddresses"]
        return {
            it["PrivateIpAddress"]: public.get(it["Association"]["PublicIp"])
            for it in rows if it.get("Association", {}).get("PublicIp")
        }

    def holders(self, address):
        """All interfaces that have a private address."""
        all_of_them = self.ec2.describe_network_interfaces()["NetworkInterfaces"]
        return self.names(
            it["NetworkInterfaceId"] for it in all_of_them
            if any(at["PrivateIpAddress"] == address for at in it["PrivateIpAddresses"])
        )

    def route(self, destination, table="rtb-main"):
        """Where a route leads: the interface, " blackhole" after it if so, or None."""
        routes = self.ec2.describe_route_tables(RouteTableIds=[self.id[table]])["RouteTables"][0]["Routes"]
        for it in routes:
            keys = ("DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId")
            if destination in (it.get(key) for key in keys):
                target = it.get("NetworkInterfaceId") or it.get("GatewayId") or it.get("InstanceId")
                return (self.name(target) or "nowhere") + ("" if it["State"] == "active" else " " + it["State"])
        return None

    def state(self, name):
        found = self.ec2.describe_instances(InstanceIds=[self.id[name]])
        return found["Reservations"][0]["Instances"][0]["State"]["Name"]

    def until(self, name, state):
        for _ in range(100):
            if self.state(name) == state:
                return state
            time.sleep(0.03)
        return self.state(name)

    def tags(self, name):
        rows = self.ec2.describe_route_tables(RouteTableIds=[self.id[name]])["RouteTables"][0]["Tags"]
        return {it["Key"]: it["Value"] for it in rows if it["Key"] != "Name"}


class Sandbox(Target):
    def __init__(self, description, aws):
        operator = description["operator"]
        super().__init__(
            description["ec2_url"], operator["access_key_id"], operator["secret_access_key"], aws
        )
        for it in description["instances"]:
            self.id[it["name"]] = it["instance_id"]
        for it in description["elastic_ips"]:
            self.id[it["name"]] = it["allocation_id"]
            self.public[it["name"]] = it["public_ip"]
        for kind, prefix in (("route_tables", "rtb-"), ("subnets", "subnet-"), ("vpcs", "vpc-")):
            for it in description[kind]:
                self.id[prefix + it["name"]] = it["id"]
        for it in description["prefix_lists"]:
            self.id[it["name"]] = it["id"]
        for it in self.ec2.describe_network_interfaces()["NetworkInterfaces"]:
            self.id[it["Description"]] = it["NetworkInterfaceId"]

    def reset(self):
        post(self.url + "/_sandbox/reset")


class Moto(Target):
    def __init__(self, url, aws):
        super().__init__(url, "AKIAOUTSIDE", "secret", aws)

    def reset(self):
        """Empties moto and builds vpc.toml in it, with moto's own calls."""
        post(self.url + "/moto-api/reset")
        ec2, self.id, self.public = self.ec2, {}, {}
        self.id["vpc-main"] = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        self.id["vpc-other"] = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
        for name, vpc, cidr in (
            ("a", "main", "10.0.0.0/24"), ("b", "main", "10.0.1.0/24"), ("other", "other", "10.1.0.0/24"),
        ):
            subnet = ec2.create_subnet(VpcId=self.id["vpc-" + vpc], CidrBlock=cidr)["Subnet"]
            self.id["subnet-" + name] = subnet["SubnetId"]
        for name, subnet, address in (
            ("one-0", "a", "10.0.0.11"), ("one-1", "b", "10.0.1.11"), ("two-0", "a", "10.0.0.12"),
            ("two-1", "b", "10.0.1.12"), ("single-0", "a", "10.0.0.13"), ("spot-0", "b", "10.0.1.14"),
            ("free", "a", "10.0.0.20"),
            ("foreign", "other", "10.1.0.20"),
        ):
            made = ec2.create_network_interface(
                SubnetId=self.id["subnet-" + subnet], PrivateIpAddress=address, Description=name
            )
            self.id[name] = made["NetworkInterface"]["NetworkInterfaceId"]
        for name, count in (("one", 2), ("two", 2), ("single", 1), ("spot", 1)):
            interfaces = [
                {"DeviceIndex": index, "NetworkInterfaceId": self.id[f"{name}-{index}"]}
                for index in range(count)
            ]
            market = {"InstanceMarketOptions": {"MarketType": "spot"}} if name == "spot" else {}
            run = ec2.run_instances(
                ImageId="ami-12c6146b", MinCount=1, MaxCount=1, NetworkInterfaces=interfaces, **market
            )
            self.id[name] = run["Instances"][0]["InstanceId"]
        ec2.assign_private_ip_addresses(
            NetworkInterfaceId=self.id["one-0"], PrivateIpAddresses=["10.0.0.100"]
        )
        for name in ("trunk", "spare", "service"):
            made = ec2.allocate_address(Domain="vpc")
            self.id[name], self.public[name] = made["AllocationId"], made["PublicIp"]
        ec2.associate_address(
            AllocationId=self.id["service"], NetworkInterfaceId=self.id["one-0"],
            PrivateIpAddress="10.0.0.100",
        )
        made = ec2.create_managed_prefix_list(
            PrefixListName="offices", MaxEntries=5, AddressFamily="IPv4"
        )
        self.id["offices"] = made["PrefixList"]["PrefixListId"]
        for name in ("main", "second"):
            table = ec2.create_route_table(VpcId=self.id["vpc-main"])["RouteTable"]
            self.id["rtb-" + name] = table["RouteTableId"]
        ec2.create_route(
            RouteTableId=self.id["rtb-main"], DestinationCidrBlock="10.99.0.0/24",
            NetworkInterfaceId=self.id["one-0"],
        )
        for name in ("trunk", "spare", "service", "one", "two", "single", "spot"):
            ec2.create_tags(Resources=[self.id[name]], Tags=[{"Key": "Name", "Value": name}])
