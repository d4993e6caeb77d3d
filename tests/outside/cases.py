"""What EC2 documents, as cases that any EC2 can be asked.

Each case: a name, the page of AWS's documentation that decides it, what has to come out, and how to ask.
`moto` is what moto 5.2 answers where that is something else; it has to be exactly that, so that the list
stays true. CLI cases ask through the AWS CLI, the others through boto3. Every case begins in a fresh VPC
(vpc.toml).

API: the action's page in the EC2 API Reference. UG: EC2 User Guide. VPC: VPC User Guide.
"""

SAME = object()
CASES = []


class Case:
    def __init__(self, name, page, expected, ask, moto, why):
        self.name, self.page, self.expected, self.ask, self.moto, self.why = name, page, expected, ask, moto, why


def case(name, page, expected, ask, moto=SAME, why=""):
    assert (moto is SAME) == (why == ""), f"{name}: a difference needs its reason"
    CASES.append(Case(name, page, expected, ask, moto, why))


def by(name, *values):
    return [{"Name": name, "Values": list(values)}]


def run(*steps):
    """Asks all of them in order; the answers as a list."""
    return lambda t: [step(t) for step in steps]


# Describes

def eips(**arguments):
    return lambda t: sorted(
        {v: k for k, v in t.public.items()}[it["PublicIp"]]
        for it in t.ec2.describe_addresses(**{k: v(t) if callable(v) else v for k, v in arguments.items()})["Addresses"]
    )


def enis(filters):
    return lambda t: t.names(
        it["NetworkInterfaceId"]
        for it in t.ec2.describe_network_interfaces(Filters=filters(t) if callable(filters) else filters)["NetworkInterfaces"]
    )


def tables(filters):
    def ask(t):
        found = t.ec2.describe_route_tables(Filters=filters(t) if callable(filters) else filters)["RouteTables"]
        return [it for it in t.names(it["RouteTableId"] for it in found) if it in ("rtb-main", "rtb-second")]
    return ask


def instances(filters):
    return lambda t: t.names(
        it["InstanceId"]
        for r in t.ec2.describe_instances(Filters=filters(t) if callable(filters) else filters)["Reservations"]
        for it in r["Instances"]
    )


A = "API DescribeAddresses"
case("addresses: all", A, ["service", "spare", "trunk"], eips())
case("addresses: by allocation id", A, ["spare", "trunk"],
     eips(AllocationIds=lambda t: [t.id["trunk"], t.id["spare"]]))
case("addresses: by public ip", A, ["trunk"], eips(PublicIps=lambda t: [t.public["trunk"]]))
case("addresses: unknown allocation id", A, "InvalidAllocationID.NotFound",
     lambda t: t.code("describe_addresses", AllocationIds=["eipalloc-00000000000000000"]))
case("addresses: one unknown id fails the whole call", A, "InvalidAllocationID.NotFound",
     lambda t: t.code("describe_addresses", AllocationIds=[t.id["trunk"], "eipalloc-00000000000000000"]))
case("addresses: unknown public ip", A, "InvalidAddress.NotFound",
     lambda t: t.code("describe_addresses", PublicIps=["198.51.100.1"]))
case("addresses: filter allocation-id", A, ["trunk"],
     eips(Filters=lambda t: by("allocation-id", t.id["trunk"])))
case("addresses: a filter that finds nothing is no error", A, [],
     eips(Filters=by("allocation-id", "eipalloc-00000000000000000")))
case("addresses: filter network-interface-id", A, ["service"],
     eips(Filters=lambda t: by("network-interface-id", t.id["one-0"])))
case("addresses: filter private-ip-address", A, ["service"], eips(Filters=by("private-ip-address", "10.0.0.100")),
     moto=[], why='moto puts an Elastic IP on the primary address whatever PrivateIpAddress says')
case("addresses: filter instance-id", A, ["service"], eips(Filters=lambda t: by("instance-id", t.id["one"])),
     moto=[], why='moto notes no instance for an association by interface')
case("addresses: filter association-id", A, ["service"],
     eips(Filters=lambda t: by("association-id", t.association("service"))))
case("addresses: filter tag:Name", A, ["spare"], eips(Filters=by("tag:Name", "spare")))
case("addresses: filter with a wildcard", "UG Filter your resources", ["spare", "service"][::-1],
     eips(Filters=by("tag:Name", "s*")))
case("addresses: values are or, filters are and", "UG Filter your resources", ["service"],
     eips(Filters=lambda t: by("tag:Name", "service", "trunk") + by("instance-id", t.id["one"])),
     moto=[], why='as with the filter instance-id')
case("addresses: unknown filter", A, "InvalidParameterValue",
     lambda t: t.code("describe_addresses", Filters=by("colour", "red")),
     moto='an answer that is no XML', why="'NotImplementedError' in moto: HTTP 500")
case("addresses: dry run", A, "DryRunOperation", lambda t: t.code("describe_addresses", DryRun=True))


def fields(t):
    it = t.ec2.describe_addresses(AllocationIds=[t.id["service"]])["Addresses"][0]
    return [it["Domain"], t.name(it["NetworkInterfaceId"]), t.name(it["InstanceId"]), it["PrivateIpAddress"],
            it["AssociationId"].startswith("eipassoc-")]


case("addresses: fields of one that is associated", A, ["vpc", "one-0", "one", "10.0.0.100", True], fields,
     moto=['vpc', 'one-0', '', '10.0.0.11', True], why='moto puts an Elastic IP on the primary address whatever PrivateIpAddress says, and notes no instance')
case("addresses: one that is free has no association", A, None, lambda t: t.association("trunk"))

N = "API DescribeNetworkInterfaces"
case("interfaces: unknown id", N, "InvalidNetworkInterfaceID.NotFound",
     lambda t: t.code("describe_network_interfaces", NetworkInterfaceIds=["eni-00000000000000000"]))
case("interfaces: malformed id", "API Error codes", "InvalidNetworkInterfaceId.Malformed",
     lambda t: t.code("describe_network_interfaces", NetworkInterfaceIds=["nonsense"]),
     moto="InvalidNetworkInterfaceID.NotFound", why="moto does not look at the form of an id")
case("interfaces: filter network-interface-id", N, ["one-0", "two-0"],
     enis(lambda t: by("network-interface-id", t.id["one-0"], t.id["two-0"], "eni-00000000000000000")))
case("interfaces: filter attachment.instance-id", N, ["one-0", "one-1"],
     enis(lambda t: by("attachment.instance-id", t.id["one"])))
case("interfaces: filter addresses.private-ip-address", N, ["one-0"],
     enis(by("addresses.private-ip-address", "10.0.0.100")),
     moto=[], why='moto compares primary addresses only')
case("interfaces: filter private-ip-address", N, ["two-1"], enis(by("private-ip-address", "10.0.1.12")))
case("interfaces: filter vpc-id and address", N, ["one-0"],
     enis(lambda t: by("vpc-id", t.id["vpc-main"]) + by("addresses.private-ip-address", "10.0.0.11")))
case("interfaces: filter subnet-id", N, ["one-1", "spot-0", "two-1"], enis(lambda t: by("subnet-id", t.id["subnet-b"])))
case("interfaces: filter status available", N, ["foreign", "free"], enis(by("status", "available")))
case("interfaces: filter that finds nothing", N, [], enis(by("addresses.private-ip-address", "10.0.0.99")))
case("interfaces: unknown filter", N, "InvalidParameterValue",
     lambda t: t.code("describe_network_interfaces", Filters=by("colour", "red")),
     moto='an answer that is no XML', why="'NotImplementedError' in moto: HTTP 500")
case("interfaces: dry run", N, "DryRunOperation",
     lambda t: t.code("describe_network_interfaces", DryRun=True))
case("interfaces: ids and MaxResults exclude each other", N, "InvalidParameterCombination",
     lambda t: t.code("describe_network_interfaces", NetworkInterfaceIds=[t.id["free"]], MaxResults=10),
     moto="OK", why="'You cannot specify this parameter and the network interface IDs parameter'")
case("interfaces: MaxResults below 5", N, "InvalidParameterValue",
     lambda t: t.code("describe_network_interfaces", MaxResults=4),
     moto="OK", why="the parameter's minimum is 5")
case("interfaces: primary first, then the secondary ones", N, [["10.0.0.11", True], ["10.0.0.100", False]],
     lambda t: [[it["PrivateIpAddress"], it["Primary"]] for it in t.interface("one-0")["PrivateIpAddresses"]])
case("interfaces: the elastic ip is shown beside its address", N, {"10.0.0.100": "service"},
     lambda t: t.riders("one-0"),
     moto={}, why='moto shows an association on the interface only')
case("interfaces: attachment", N, ["one", 1, "attached", "in-use"],
     lambda t: (lambda it: [t.name(it["Attachment"]["InstanceId"]), it["Attachment"]["DeviceIndex"],
                            it["Attachment"]["Status"], it["Status"]])(t.interface("one-1")))
case("interfaces: source/dest check is set and shown", "API ModifyNetworkInterfaceAttribute", [True, "OK", False],
     run(lambda t: t.interface("one-0")["SourceDestCheck"],
         lambda t: t.code("modify_network_interface_attribute", NetworkInterfaceId=t.id["one-0"],
                          SourceDestCheck={"Value": False}),
         lambda t: t.interface("one-0")["SourceDestCheck"]))

R = "API DescribeRouteTables"
case("tables: unknown id", R, "InvalidRouteTableID.NotFound",
     lambda t: t.code("describe_route_tables", RouteTableIds=["rtb-00000000000000000"]))
case("tables: filter route-table-id, one of them unknown", R, ["rtb-main"],
     tables(lambda t: by("route-table-id", t.id["rtb-main"], "rtb-00000000000000000")))
case("tables: filter vpc-id", R, ["rtb-main", "rtb-second"], tables(lambda t: by("vpc-id", t.id["vpc-main"])))
case("tables: filter route.destination-cidr-block", R, ["rtb-main"],
     tables(by("route.destination-cidr-block", "10.99.0.0/24")))
case("tables: unknown filter", R, "InvalidParameterValue",
     lambda t: t.code("describe_route_tables", Filters=by("colour", "red")),
     moto='an answer that is no XML', why="'NotImplementedError' in moto: HTTP 500")
case("tables: dry run", R, "DryRunOperation", lambda t: t.code("describe_route_tables", DryRun=True),
     moto="OK", why="DryRun is a parameter of this action")
case("tables: a route and its local one", R, ["one-0", "local"],
     run(lambda t: t.route("10.99.0.0/24"), lambda t: t.route("10.0.0.0/16")))

I = "API DescribeInstances"
case("instances: unknown id", I, "InvalidInstanceID.NotFound",
     lambda t: t.code("describe_instances", InstanceIds=["i-00000000000000000"]))
case("instances: malformed id", "API Error codes", "InvalidInstanceID.Malformed",
     lambda t: t.code("describe_instances", InstanceIds=["nonsense"]),
     moto="InvalidInstanceID.NotFound", why="moto does not look at the form of an id")
case("instances: filter instance-id, unknown", I, [], instances(by("instance-id", "i-00000000000000000")))
case("instances: filter instance-id", I, ["one"], instances(lambda t: by("instance-id", t.id["one"])))
case("instances: filter instance-state-name", I, ["one", "single", "spot", "two"],
     instances(by("instance-state-name", "running", "stopped")))
case("instances: filter private-ip-address", I, ["two"], instances(by("private-ip-address", "10.0.0.12")))


def instances_or_code(filters):
    return lambda t: (lambda code: instances(filters)(t) if code == "OK" else code)(
        t.code("describe_instances", Filters=filters))


case("instances: filter instance-lifecycle", I, ["spot"], instances_or_code(by("instance-lifecycle", "spot")),
     moto="an answer that is no XML", why="'NotImplementedError' in moto: HTTP 500")
case("instances: filter root-device-type", I, ["one", "single", "spot", "two"],
     instances_or_code(by("root-device-type", "ebs")),
     moto="an answer that is no XML", why="'NotImplementedError' in moto: HTTP 500")


def instance(name, *keys):
    def ask(t):
        it = t.ec2.describe_instances(InstanceIds=[t.id[name]])["Reservations"][0]["Instances"][0]
        return [it.get(key) for key in keys]
    return ask


case("instances: on demand, from EBS", I, [None, "ebs"], instance("one", "InstanceLifecycle", "RootDeviceType"))
case("instances: a spot instance", I, ["spot"], instance("spot", "InstanceLifecycle"))
case("instances: dry run", I, "DryRunOperation", lambda t: t.code("describe_instances", DryRun=True))
case("instances: interfaces by device index", I, ["one-0", "one-1"],
     lambda t: [t.name(it["NetworkInterfaceId"]) for it in sorted(
         t.ec2.describe_instances(InstanceIds=[t.id["one"]])["Reservations"][0]["Instances"][0]["NetworkInterfaces"],
         key=lambda it: it["Attachment"]["DeviceIndex"])])
case("instance status: running ones only", "API DescribeInstanceStatus", ["OK", ["single", "spot", "two"]],
     run(lambda t: t.code("stop_instances", InstanceIds=[t.id["one"]], Force=True),
         lambda t: t.names(it["InstanceId"] for it in t.ec2.describe_instance_status()["InstanceStatuses"])))
case("instance status: all", "API DescribeInstanceStatus", ["stopped", 4],
     run(lambda t: (t.code("stop_instances", InstanceIds=[t.id["one"]]), t.until("one", "stopped"))[1],
         lambda t: len(t.ec2.describe_instance_status(IncludeAllInstances=True)["InstanceStatuses"])))
case("instance status: ok", "API DescribeInstanceStatus", ["ok", "ok"],
     lambda t: (lambda it: [it["InstanceStatus"]["Status"], it["SystemStatus"]["Status"]])(
         t.ec2.describe_instance_status(InstanceIds=[t.id["one"]])["InstanceStatuses"][0]))

# AssociateAddress, DisassociateAddress

AS = "API AssociateAddress"


def associate(eip="trunk", to="one-0", **more):
    def ask(t):
        arguments = {"AllocationId": t.id.get(eip, eip), "NetworkInterfaceId": t.id.get(to, to), **more}
        return t.code("associate_address", **{k: v for k, v in arguments.items() if v is not None})
    return ask


def where(eip):
    return lambda t: t.eip(eip)


case("associate: to the primary address by default", AS, ["OK", "one-0/10.0.0.11"], run(associate(), where("trunk")))
case("associate: to a secondary address", AS, ["OK", "one-0/10.0.0.100"],
     run(associate(PrivateIpAddress="10.0.0.100"), where("trunk")),
     moto=['OK', 'one-0/10.0.0.11'], why='moto puts an Elastic IP on the primary address whatever PrivateIpAddress says')
case("associate: an address moves without being asked twice", AS, ["OK", "OK", "two-0/10.0.0.12"],
     run(associate(), associate(to="two-0"), where("trunk")),
     moto=["OK", "Resource.AlreadyAssociated", "one-0/10.0.0.11"],
     why="'Reassociation is automatic'; moto takes an absent AllowReassociation for false")
case("associate: AllowReassociation=true moves", AS, ["OK", "OK", "two-0/10.0.0.12"],
     run(associate(), associate(to="two-0", AllowReassociation=True), where("trunk")))
case("associate: AllowReassociation=false does not", AS,
     ["OK", "Resource.AlreadyAssociated", "one-0/10.0.0.11"],
     run(associate(), associate(to="two-0", AllowReassociation=False), where("trunk")))
case("associate: AllowReassociation=false takes a free one", AS, ["OK", "two-0/10.0.0.12"],
     run(associate(to="two-0", AllowReassociation=False), where("trunk")))
case("associate: it leaves its old interface", AS, ["OK", "OK", {}],
     run(associate(to="single-0"), associate(to="two-0", AllowReassociation=True), lambda t: t.riders("single-0")))
case("associate: the one that was there goes, and stays allocated", AS,
     ["OK", "OK", None, "two-0/10.0.0.12"],
     run(associate("trunk", "two-0"), associate("spare", "two-0", AllowReassociation=True), where("trunk"), where("spare")),
     moto=["OK", "OK", "two-0/10.0.0.12", "two-0/10.0.0.12"],
     why="'the existing address is disassociated'; moto leaves both")
case("associate: twice to the same place is no error", AS, ["OK", "OK", "one-0/10.0.0.11"],
     run(associate(), associate(), where("trunk")))
case("associate: a private address that is not there", AS, ["InvalidParameterValue", None],
     run(associate(PrivateIpAddress="10.0.0.77"), where("trunk")),
     moto=['OK', 'one-0/10.0.0.11'], why='moto puts an Elastic IP on the primary address whatever PrivateIpAddress says')
case("associate: to an interface that is not attached", AS, ["OK", "free/10.0.0.20"],
     run(associate(to="free"), where("trunk")))
case("associate: unknown allocation id", AS, "InvalidAllocationID.NotFound",
     associate("eipalloc-00000000000000000"))
case("associate: unknown interface", AS, ["InvalidNetworkInterfaceID.NotFound", None],
     run(associate(to="eni-00000000000000000"), where("trunk")))
case("associate: unknown instance", AS, "InvalidInstanceID.NotFound",
     associate(to=None, InstanceId="i-00000000000000000"))
case("associate: by instance with one interface", AS, ["OK", "single-0/10.0.0.13"],
     run(lambda t: associate(to=None, InstanceId=t.id["single"])(t), where("trunk")))
case("associate: by instance with two interfaces", AS, "InvalidInstanceID",
     lambda t: associate(to=None, InstanceId=t.id["one"])(t),
     moto="OK", why="'The instance must have exactly one attached network interface'")
case("associate: neither interface nor instance", AS, "MissingParameter", associate(to=None))
case("associate: interface and instance", AS, "InvalidParameterCombination",
     lambda t: associate(InstanceId=t.id["one"])(t),
     moto="OK", why="'either the instance ID or the network interface ID, but not both'")
case("associate: no allocation id", AS, "MissingParameter", associate(None))
case("associate: dry run changes nothing", AS, ["DryRunOperation", None],
     run(associate(DryRun=True), where("trunk")))
case("associate: by public ip", AS, ["OK", "one-0/10.0.0.11"],
     run(lambda t: associate(None, PublicIp=t.public["trunk"])(t), where("trunk")))

DI = "API DisassociateAddress"


def disassociate(t, association, **more):
    return t.code("disassociate_address", AssociationId=association, **more)


case("disassociate", DI, ["OK", None],
     run(lambda t: disassociate(t, t.association("service")), where("service")))
case("disassociate: twice is no error", DI, ["OK", "OK"],
     lambda t: (lambda it: [disassociate(t, it), disassociate(t, it)])(t.association("service")),
     moto=["OK", "InvalidAssociationID.NotFound"],
     why="'If you perform the operation more than once, Amazon EC2 doesn't return an error'")
case("disassociate: an old id does not hurt the new holder", DI, ["OK", "two-0/10.0.0.12"],
     lambda t: (lambda old: [associate("service", "two-0", AllowReassociation=True)(t), disassociate(t, old) and t.eip("service")])(
         t.association("service")))
case("disassociate: unknown id", DI, "InvalidAssociationID.NotFound",
     lambda t: disassociate(t, "eipassoc-00000000000000000"))
case("disassociate: no id", DI, "MissingParameter", lambda t: t.code("disassociate_address"))
case("disassociate: dry run changes nothing", DI, ["DryRunOperation", "one-0/10.0.0.100"],
     run(lambda t: disassociate(t, t.association("service"), DryRun=True), where("service")),
     moto=['DryRunOperation', 'one-0/10.0.0.11'], why='moto puts an Elastic IP on the primary address whatever PrivateIpAddress says')

# AssignPrivateIpAddresses, UnassignPrivateIpAddresses

AP = "API AssignPrivateIpAddresses"


def assign(to, *addresses, **more):
    return lambda t: t.code(
        "assign_private_ip_addresses", NetworkInterfaceId=t.id.get(to, to),
        **({"PrivateIpAddresses": list(addresses)} if addresses else {}), **more)


def holders(address):
    return lambda t: t.holders(address)


case("assign: a free address", AP, ["OK", ["two-0"]], run(assign("two-0", "10.0.0.50"), holders("10.0.0.50")))
case("assign: the answer names them", AP, ["two-0", ["10.0.0.50", "10.0.0.51"]],
     lambda t: (lambda it: [t.name(it["NetworkInterfaceId"]), [at["PrivateIpAddress"] for at in it["AssignedPrivateIpAddresses"]]])(
         t.ec2.assign_private_ip_addresses(NetworkInterfaceId=t.id["two-0"], PrivateIpAddresses=["10.0.0.50", "10.0.0.51"])),
     moto=['two-0', ['10.0.0.12', '10.0.0.50', '10.0.0.51']], why='moto answers all addresses of the interface, not those that were assigned')
case("assign: AllowReassignment moves it", AP, ["OK", ["two-0"]],
     run(assign("two-0", "10.0.0.100", AllowReassignment=True), holders("10.0.0.100")),
     moto=["OK", ["one-0", "two-0"]], why="an address is on one interface; moto leaves it on both")
case("assign: the elastic ip moves with it", AP, ["OK", "two-0/10.0.0.100"],
     run(assign("two-0", "10.0.0.100", AllowReassignment=True), where("service")),
     moto=['OK', 'one-0/10.0.0.11'], why='moto puts an Elastic IP on the primary address whatever PrivateIpAddress says, and leaves it there')
case("assign: without AllowReassignment it does not move", AP, ["InvalidParameterValue", ["one-0"]],
     run(assign("two-0", "10.0.0.100"), holders("10.0.0.100")),
     moto=["OK", ["one-0", "two-0"]], why="AllowReassignment is false by default; moto ignores it")
case("assign: AllowReassignment=false does not move it", AP, ["InvalidParameterValue", ["one-0"]],
     run(assign("two-0", "10.0.0.100", AllowReassignment=False), holders("10.0.0.100")),
     moto=["OK", ["one-0", "two-0"]], why="moto ignores it")
case("assign: another's primary address", "UG Elastic network interfaces", ["InvalidParameterValue", ["one-0"]],
     run(assign("two-0", "10.0.0.11", AllowReassignment=True), holders("10.0.0.11")),
     moto=["OK", ["one-0", "two-0"]], why="a primary address cannot be moved")
case("assign: an address of another subnet", AP, ["InvalidParameterValue", []],
     run(assign("two-0", "10.0.1.50"), holders("10.0.1.50")),
     moto=["OK", ["two-0"]], why="from the subnet's range")
case("assign: a reserved address", "VPC Subnet sizing", "InvalidParameterValue", assign("two-0", "10.0.0.3"),
     moto="OK", why="the first four addresses and the last are not available")
case("assign: no such interface", AP, "InvalidNetworkInterfaceID.NotFound",
     assign("eni-00000000000000000", "10.0.0.50"))
case("assign: neither addresses nor a count", AP, "MissingParameter", assign("two-0"),
     moto="OK", why="'You must specify either the IP addresses or the IP address count'")
case("assign: addresses and a count", AP, "InvalidParameterCombination",
     assign("two-0", "10.0.0.50", SecondaryPrivateIpAddressCount=1),
     moto="OK", why="'You can't specify this parameter when also specifying a number'")
case("assign: not an address", AP, "InvalidParameterValue", assign("two-0", "here"),
     moto="OK", why="not an IPv4 address")
case("assign: a count", AP, ["OK", 3],
     run(assign("two-0", SecondaryPrivateIpAddressCount=2), lambda t: len(t.addresses("two-0"))))
case("assign: more than the interface may have", "UG Elastic network interfaces", "PrivateIpAddressLimitExceeded",
     assign("two-0", *[f"10.0.0.{it}" for it in range(120, 180)]),
     moto="OK", why="the number of addresses per interface is limited by the instance type")
case("assign: all or nothing", AP, ["InvalidParameterValue", ["one-0"]],
     run(assign("two-0", "10.0.0.100", "10.0.1.50", AllowReassignment=True), holders("10.0.0.100")),
     moto=["OK", ["one-0", "two-0"]], why="as above")


def assign_with_dry_run(t):
    """botocore does not know such a parameter: it is put into the form behind its back."""
    def add(params, **_):
        params["body"]["DryRun"] = "true"
    events = t.ec2.meta.events
    events.register("before-call.ec2.AssignPrivateIpAddresses", add)
    try:
        return assign("two-0", "10.0.0.50")(t)
    finally:
        events.unregister("before-call.ec2.AssignPrivateIpAddresses", add)


case("assign: there is no DryRun", AP, ["UnknownParameter", []], run(assign_with_dry_run, holders("10.0.0.50")),
     moto=["OK", ["two-0"]], why="moto passes over parameters that it does not know")

UN = "API UnassignPrivateIpAddresses"


def unassign(of, *addresses):
    return lambda t: t.code(
        "unassign_private_ip_addresses", NetworkInterfaceId=t.id.get(of, of), PrivateIpAddresses=list(addresses))


case("unassign", UN, ["OK", []], run(unassign("one-0", "10.0.0.100"), holders("10.0.0.100")))
case("unassign: the elastic ip is nobody's then", "UG Secondary IP addresses", ["OK", None],
     run(unassign("one-0", "10.0.0.100"), where("service")),
     moto=['OK', 'one-0/10.0.0.11'], why='moto puts an Elastic IP on the primary address whatever PrivateIpAddress says')
case("unassign: what is not there", UN, "InvalidParameterValue", unassign("two-0", "10.0.0.100"),
     moto="OK", why="the addresses are those of this interface")
case("unassign: a primary address", UN, ["InvalidParameterValue", ["one-0"]],
     run(unassign("one-0", "10.0.0.11"), holders("10.0.0.11")),
     moto=["OK", []], why="'The secondary private IP addresses'")
case("unassign: no such interface", UN, "InvalidNetworkInterfaceID.NotFound",
     unassign("eni-00000000000000000", "10.0.0.100"))

# CreateRoute, ReplaceRoute, DeleteRoute

CR, RR = "API CreateRoute", "API ReplaceRoute"


def route(call, to="two-0", table="rtb-main", destination="10.99.0.0/24", **more):
    def ask(t):
        arguments = {
            "RouteTableId": t.id.get(table, table), "DestinationCidrBlock": destination,
            "NetworkInterfaceId": t.id.get(to, to), **more,
        }
        return t.code(call, **{k: v for k, v in arguments.items() if v is not None})
    return ask


def leads(destination="10.99.0.0/24", table="rtb-main"):
    return lambda t: t.route(destination, table)


case("replace: to another interface", RR, ["OK", "two-0"], run(route("replace_route"), leads()))
case("replace: the same again", RR, ["OK", "OK", "two-0"],
     run(route("replace_route"), route("replace_route"), leads()))
case("replace: a route that is not there", RR, ["InvalidRoute.NotFound", None],
     run(route("replace_route", destination="10.98.0.0/24"), leads("10.98.0.0/24")),
     moto=["InvalidParameterValue", None], why="the error-codes page has InvalidRoute.NotFound for it")
case("replace: no such table", RR, "InvalidRouteTableID.NotFound",
     route("replace_route", table="rtb-00000000000000000"))
case("replace: no such interface", RR, ["InvalidNetworkInterfaceID.NotFound", "one-0"],
     run(route("replace_route", to="eni-00000000000000000"), leads()))
case("replace: no target", RR, ["MissingParameter", "one-0"], run(route("replace_route", to=None), leads()),
     moto=['OK', 'nowhere'], why="'exactly one of the resources from the parameter list'")
case("replace: two targets", RR, ["InvalidParameterCombination", "one-0"],
     run(lambda t: route("replace_route", InstanceId=t.id["single"])(t), leads()),
     moto=["OK", "two-0"], why="'exactly one of the resources from the parameter list'")
case("replace: two destinations", RR, "InvalidParameterCombination",
     route("replace_route", DestinationIpv6CidrBlock="fd01::/64"),
     moto="InvalidParameterValue", why="moto looks for a route with both")
case("replace: dry run changes nothing", RR, ["DryRunOperation", "one-0"],
     run(route("replace_route", DryRun=True), leads()),
     moto=["OK", "two-0"], why="moto executes a ReplaceRoute with DryRun")
case("replace: to an instance with two interfaces", RR, ["InvalidInstanceID", "one-0"],
     run(lambda t: route("replace_route", to=None, InstanceId=t.id["two"])(t), leads()),
     moto=["OK", "two"], why="'the operation fails unless exactly one network interface is attached'")
case("replace: to an instance with one interface", RR, ["OK", "single-0"],
     run(lambda t: route("replace_route", to=None, InstanceId=t.id["single"])(t), leads()),
     moto=["OK", "single"], why="the route shows the interface of the instance")
case("replace: to an interface of another vpc", RR, ["InvalidParameterValue", "one-0"],
     run(route("replace_route", to="foreign"), leads()),
     moto=["OK", "foreign"], why="a route leads within its VPC")
case("create: a new route", CR, ["OK", "two-0"],
     run(route("create_route", destination="10.98.0.0/24"), leads("10.98.0.0/24")))
case("create: there is one already", CR, ["RouteAlreadyExists", "one-0"], run(route("create_route"), leads()),
     moto=['OK', 'two-0'], why='moto overwrites it')
case("create: an IPv6 route", CR, ["OK", "two-0"],
     run(route("create_route", destination=None, DestinationIpv6CidrBlock="fd01::/64"), leads("fd01::/64")))
case("create: a prefix list", CR, ["OK", "two-0"],
     run(lambda t: route("create_route", destination=None, DestinationPrefixListId=t.id["offices"])(t),
         lambda t: t.route(t.id["offices"])),
     moto=['OK', None], why='moto shows no such destination')
case("create: no such prefix list", CR, "InvalidPrefixListID.NotFound",
     route("create_route", destination=None, DestinationPrefixListId="pl-00000000000000000"),
     moto='OK', why='moto does not look for it')
case("create: the range is brought to its canonical form", CR, ["OK", "two-0"],
     run(route("create_route", destination="10.98.0.7/24"), leads("10.98.0.0/24")),
     moto=['OK', None], why="'We modify the specified CIDR block to its canonical form'")
case("create: not a range", CR, "InvalidParameterValue", route("create_route", destination="10.98.0.0/33"),
     moto='OK', why='moto checks no range')
case("create: no destination", CR, "MissingParameter", route("create_route", destination=None),
     moto='OK', why="'You must specify either a destination CIDR block or a prefix list ID'")
case("create: no target", CR, "MissingParameter", route("create_route", to=None, destination="10.98.0.0/24"),
     moto='OK', why="'exactly one of the resources from the parameter list'")
case("create: no such table", CR, "InvalidRouteTableID.NotFound",
     route("create_route", table="rtb-00000000000000000"))
case("create: dry run changes nothing", CR, ["DryRunOperation", None],
     run(route("create_route", destination="10.98.0.0/24", DryRun=True), leads("10.98.0.0/24")),
     moto=['OK', 'two-0'], why='moto executes a CreateRoute with DryRun')
case("create: to an interface that is not attached is a blackhole", CR, ["OK", "free blackhole"],
     run(route("create_route", to="free", destination="10.98.0.0/24"), leads("10.98.0.0/24")),
     moto=["OK", "free"], why="'blackhole: the route's target isn't available'")
case("delete", "API DeleteRoute", ["OK", None],
     run(lambda t: t.code("delete_route", RouteTableId=t.id["rtb-main"], DestinationCidrBlock="10.99.0.0/24"), leads()))
case("delete: a route that is not there", "API DeleteRoute", "InvalidRoute.NotFound",
     lambda t: t.code("delete_route", RouteTableId=t.id["rtb-main"], DestinationCidrBlock="10.98.0.0/24"))

# Instances

ST = "API StopInstances"


def stop(name, **more):
    return lambda t: t.code("stop_instances", InstanceIds=[t.id.get(name, name)], **more)


case("stop: stopping, then stopped", ST, [["running", "stopping"], "stopped"],
     run(lambda t: (lambda it: [it["PreviousState"]["Name"], it["CurrentState"]["Name"]])(
             t.ec2.stop_instances(InstanceIds=[t.id["one"]])["StoppingInstances"][0]),
         lambda t: t.until("one", "stopped")))
case("stop: with Force and SkipOsShutdown", ST, ["OK", "stopped"],
     run(stop("one", Force=True, SkipOsShutdown=True), lambda t: t.until("one", "stopped")))
case("stop: the elastic ip stays", "UG Elastic IP addresses", ["OK", "stopped", "one-0/10.0.0.100"],
     run(stop("one"), lambda t: t.until("one", "stopped"), where("service")),
     moto=['OK', 'stopped', 'one-0/10.0.0.11'], why='moto puts an Elastic IP on the primary address whatever PrivateIpAddress says')
case("stop: its route becomes a blackhole", "API Route", ["OK", "stopped", "one-0 blackhole"],
     run(stop("one"), lambda t: t.until("one", "stopped"), leads()),
     moto=["OK", "stopped", "one-0"], why="'blackhole: the route's target isn't available'")
case("stop: twice is no error", ST, ["OK", "stopped", "OK"],
     run(stop("one"), lambda t: t.until("one", "stopped"), stop("one")))
case("stop: one that is terminated", "API Error codes", "IncorrectInstanceState",
     lambda t: (t.ec2.terminate_instances(InstanceIds=[t.id["one"]]), t.until("one", "terminated"), stop("one")(t))[2],
     moto="OK", why="a terminated instance cannot be stopped")
case("stop: unknown id", ST, "InvalidInstanceID.NotFound", stop("i-00000000000000000"))
case("stop: one unknown id stops nobody", ST, ["InvalidInstanceID.NotFound", "running"],
     run(lambda t: t.code("stop_instances", InstanceIds=[t.id["one"], "i-00000000000000000"]),
         lambda t: t.state("one")))
case("stop: dry run changes nothing", ST, ["DryRunOperation", "running"],
     run(stop("one", DryRun=True), lambda t: t.state("one")))
case("stop: twice, and what it says", ST, ["OK", "stopped", ["stopped", "stopped"]],
     run(stop("one"), lambda t: t.until("one", "stopped"),
         lambda t: (lambda it: [it["PreviousState"]["Name"], it["CurrentState"]["Name"]])(
             t.ec2.stop_instances(InstanceIds=[t.id["one"]], Force=True, SkipOsShutdown=True)["StoppingInstances"][0])),
     moto=["OK", "stopped", ["stopped", "stopping"]], why="it has stopped: there is nothing to stop")
case("stop: a spot instance of a one-time request", "UG Stop a Spot Instance", ["UnsupportedOperation", "running"],
     run(stop("spot", Force=True, SkipOsShutdown=True), lambda t: t.state("spot")),
     moto=["OK", "stopped"], why="only Spot Instances of a persistent request can be stopped")
case("stop: no id", ST, "MissingParameter", lambda t: t.code("stop_instances"),
     moto="OK", why="InstanceId.N is required")

SP = "UG Enable stop protection"


def protect(attribute="DisableApiStop", on=True, name="one", **more):
    return lambda t: t.code("modify_instance_attribute", InstanceId=t.id.get(name, name),
                            **{attribute: {"Value": on}}, **more)


def protected(attribute="disableApiStop", name="one"):
    def ask(t):
        it = t.ec2.describe_instance_attribute(InstanceId=t.id[name], Attribute=attribute)
        return it[attribute[0].upper() + attribute[1:]]["Value"]
    return ask


DA, MA = "API DescribeInstanceAttribute", "API ModifyInstanceAttribute"
case("protection: off at first", DA, [False, False], run(protected(), protected("disableApiTermination")))
case("protection: on, and off again", MA, ["OK", True, "OK", False],
     run(protect(), protected(), protect(on=False), protected()))
case("protection: from a stop", SP, ["OK", "OperationNotPermitted", "running"],
     run(protect(), stop("one"), lambda t: t.state("one")))
case("protection: from a stop, Force and SkipOsShutdown do not help", SP, ["OK", "OperationNotPermitted", "running"],
     run(protect(), stop("one", Force=True, SkipOsShutdown=True), lambda t: t.state("one")))
case("protection: from a stop is also one from a termination", SP, ["OK", "OperationNotPermitted", "running"],
     run(protect(), lambda t: t.code("terminate_instances", InstanceIds=[t.id["one"]]), lambda t: t.state("one")),
     moto=["OK", "OK", "terminated"], why="'Stop protection also protects your instance from accidental termination'")
case("protection: from a termination is not one from a stop", "UG Change termination protection",
     ["OK", "OperationNotPermitted", "OK", "stopped"],
     run(protect("DisableApiTermination"), lambda t: t.code("terminate_instances", InstanceIds=[t.id["one"]]),
         stop("one", Force=True, SkipOsShutdown=True), lambda t: t.until("one", "stopped")))
case("protection: stopping works once it is off", SP, ["OK", "OK", "OK", "stopped"],
     run(protect(), protect(on=False), stop("one"), lambda t: t.until("one", "stopped")))
case("protection: not for a spot instance", SP, [True, False],
     run(lambda t: protect(name="spot")(t) != "OK", protected(name="spot")),
     moto=[False, True], why="'You can\'t enable stop protection for Spot Instances'")
case("protection: unknown instance", MA, "InvalidInstanceID.NotFound", protect(name="i-00000000000000000"))
case("protection: asked of an unknown instance", DA, "InvalidInstanceID.NotFound",
     lambda t: t.code("describe_instance_attribute", InstanceId="i-00000000000000000", Attribute="disableApiStop"))
case("protection: unknown attribute", DA, "InvalidParameterValue",
     lambda t: t.code("describe_instance_attribute", InstanceId=t.id["one"], Attribute="colour"))
case("protection: dry run changes nothing", MA, ["DryRunOperation", False],
     run(protect(DryRun=True), protected()))
case("start again", "API StartInstances", ["OK", "stopped", "OK", "running"],
     run(stop("one"), lambda t: t.until("one", "stopped"),
         lambda t: t.code("start_instances", InstanceIds=[t.id["one"]]), lambda t: t.until("one", "running")))

# Tags

TG = "API CreateTags"


def tag(on, **tags):
    return lambda t: t.code("create_tags", Resources=[t.id.get(on, on)], Tags=[{"Key": k, "Value": v} for k, v in tags.items()])


case("tags: one on a table", TG, ["OK", {"n": "1"}], run(tag("rtb-main", n="1"), lambda t: t.tags("rtb-main")))
case("tags: overwritten", TG, ["OK", "OK", {"n": "2"}],
     run(tag("rtb-main", n="1"), tag("rtb-main", n="2"), lambda t: t.tags("rtb-main")))
case("tags: an interface shows them", TG, ["OK", {"n": "1"}],
     run(tag("one-0", n="1"), lambda t: {it["Key"]: it["Value"] for it in t.interface("one-0")["TagSet"]}))
case("tags: an odd value comes back as it was", TG, ["OK", {"n": "<&>\"'ü é"}],
     run(tag("rtb-main", n="<&>\"'ü é"), lambda t: t.tags("rtb-main")))
case("tags: unknown interface", TG, "InvalidNetworkInterfaceID.NotFound", tag("eni-00000000000000000", n="1"),
     moto='OK', why='moto tags what is not there')
case("tags: reserved prefix", "UG Tag restrictions", "InvalidParameterValue", tag("rtb-main", **{"aws:n": "1"}),
     moto='OK', why='tag keys must not begin with aws:')
case("tags: a key that is too long", "UG Tag restrictions", "InvalidParameterValue", tag("rtb-main", **{"k" * 129: "1"}),
     moto='OK', why='tag keys have at most 128 characters')
case("tags: no tag", TG, "MissingParameter", tag("rtb-main"),
     moto='OK', why='Tag.N is required')
case("tags: delete", "API DeleteTags", ["OK", "OK", {}],
     run(tag("rtb-main", n="1"),
         lambda t: t.code("delete_tags", Resources=[t.id["rtb-main"]], Tags=[{"Key": "n"}]),
         lambda t: t.tags("rtb-main")))
case("tags: delete only with the same value", "API DeleteTags", ["OK", "OK", {"n": "1"}],
     run(tag("rtb-main", n="1"),
         lambda t: t.code("delete_tags", Resources=[t.id["rtb-main"]], Tags=[{"Key": "n", "Value": "2"}]),
         lambda t: t.tags("rtb-main")))

# Who calls


def as_stranger(key, secret):
    def ask(t):
        other = t.client(key or t.key, secret or t.secret)
        try:
            other.describe_addresses()
            return "OK"
        except Exception as error:  # whatever it is, it is the outcome
            return error.response["Error"]["Code"]
    return ask


case("auth: unknown access key", "API Error codes", "AuthFailure", as_stranger("AKIANOBODY", None),
     moto="OK", why="moto accepts any credentials")
case("auth: wrong secret", "API Error codes", "AuthFailure", as_stranger(None, "wrong"),
     moto="OK", why="moto accepts any credentials")

# Through the AWS CLI

case("cli: describe-addresses", A, "10.0.0.100",
     lambda t: t.cli("describe-addresses", "--allocation-ids", t.id["service"])["Addresses"][0]["PrivateIpAddress"],
     moto='10.0.0.11', why='moto puts an Elastic IP on the primary address whatever PrivateIpAddress says')
case("cli: describe-addresses, unknown", A, "InvalidAllocationID.NotFound",
     lambda t: t.cli("describe-addresses", "--allocation-ids", "eipalloc-00000000000000000"))
case("cli: describe-network-interfaces", N, ["one-0", "one-1"],
     lambda t: t.names(it["NetworkInterfaceId"] for it in t.cli(
         "describe-network-interfaces", "--filters", f"Name=attachment.instance-id,Values={t.id['one']}")["NetworkInterfaces"]))
case("cli: describe-route-tables", R, ["10.0.0.0/16", "10.99.0.0/24"],
     lambda t: sorted(it["DestinationCidrBlock"] for it in t.cli(
         "describe-route-tables", "--route-table-ids", t.id["rtb-main"])["RouteTables"][0]["Routes"]))
case("cli: describe-instances", I, "running",
     lambda t: t.cli("describe-instances", "--instance-ids", t.id["one"])["Reservations"][0]["Instances"][0]["State"]["Name"])
case("cli: associate-address", AS, [True, "two-0/10.0.0.12"],
     run(lambda t: t.cli("associate-address", "--allocation-id", t.id["trunk"], "--network-interface-id", t.id["two-0"],
                         "--allow-reassociation")["AssociationId"].startswith("eipassoc-"), where("trunk")))
case("cli: associate-address, taken", AS, "Resource.AlreadyAssociated",
     lambda t: t.cli("associate-address", "--allocation-id", t.id["service"], "--network-interface-id", t.id["two-0"],
                     "--no-allow-reassociation"))
case("cli: disassociate-address", DI, ["OK", None],
     run(lambda t: t.cli("disassociate-address", "--association-id", t.association("service")), where("service")))
case("cli: assign-private-ip-addresses", AP, ["two-0", ["two-0"]],
     run(lambda t: t.name(t.cli("assign-private-ip-addresses", "--network-interface-id", t.id["two-0"],
                                "--private-ip-addresses", "10.0.0.100", "--allow-reassignment")["NetworkInterfaceId"]),
         holders("10.0.0.100")),
     moto=["two-0", ["one-0", "two-0"]], why="as above")
case("cli: unassign-private-ip-addresses", UN, ["OK", []],
     run(lambda t: t.cli("unassign-private-ip-addresses", "--network-interface-id", t.id["one-0"],
                         "--private-ip-addresses", "10.0.0.100"), holders("10.0.0.100")))
case("cli: replace-route", RR, ["OK", "two-0"],
     run(lambda t: t.cli("replace-route", "--route-table-id", t.id["rtb-main"], "--destination-cidr-block",
                         "10.99.0.0/24", "--network-interface-id", t.id["two-0"]), leads()))
case("cli: create-route, dry run", CR, "DryRunOperation",
     lambda t: t.cli("create-route", "--dry-run", "--route-table-id", t.id["rtb-main"], "--destination-cidr-block",
                     "10.98.0.0/24", "--network-interface-id", t.id["two-0"]),
     moto={'Return': True}, why='as above')
case("cli: create-tags", TG, ["OK", {"n": "1"}],
     run(lambda t: t.cli("create-tags", "--resources", t.id["rtb-main"], "--tags", "Key=n,Value=1"),
         lambda t: t.tags("rtb-main")))
case("cli: stop-instances", ST, "stopping",
     lambda t: t.cli("stop-instances", "--instance-ids", t.id["one"], "--force")["StoppingInstances"][0]["CurrentState"]["Name"])
case("cli: stop-instances, hard", ST, "stopping",
     lambda t: t.cli("stop-instances", "--instance-ids", t.id["one"], "--force", "--skip-os-shutdown")["StoppingInstances"][0]["CurrentState"]["Name"])
case("cli: modify-instance-attribute, then stop-instances", SP, ["OK", "OperationNotPermitted"],
     run(lambda t: t.cli("modify-instance-attribute", "--instance-id", t.id["one"], "--disable-api-stop"),
         lambda t: t.cli("stop-instances", "--instance-ids", t.id["one"], "--force", "--skip-os-shutdown")))
case("cli: describe-instance-attribute", DA, False,
     lambda t: t.cli("describe-instance-attribute", "--instance-id", t.id["one"], "--attribute", "disableApiStop")["DisableApiStop"]["Value"])
