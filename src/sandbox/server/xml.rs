//! EC2's Query protocol, the way out: a typed answer -> XML, element by element as in the API Reference.

use crate::sandbox::model::{
    AddressView, ApiError, Destination, ElasticIp, Instance, InstanceState, InstanceView, InterfaceView,
    Network, Response, RouteTableView, StateChange, Subnet, Tags, Target, route_state, status_of,
};

/// What every answer needs besides its content.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// The account's number.
    pub account: &'a str,
    /// The region.
    pub region: &'a str,
    /// The request's id.
    pub request_id: &'a str,
    /// When everything was launched and attached (RFC 3339).
    pub launched: &'a str,
}

/// The document of an answer.
pub fn response(action: &str, response: &Response, context: &Context<'_>) -> String {
    let mut xml = Xml::new(context);
    xml.0.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let root = format!("{action}Response");
    xml.0.push_str(&format!("<{root} xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">"));
    xml.leaf("requestId", context.request_id);
    match response {
        Response::Addresses(list) => xml.list("addressesSet", list, Xml::address),
        Response::Interfaces(list) => xml.list("networkInterfaceSet", list, Xml::interface),
        Response::RouteTables(list) => xml.list("routeTableSet", list, Xml::route_table),
        Response::Instances(list) => xml.list("reservationSet", list, Xml::reservation),
        Response::InstanceStatus(list) => xml.list("instanceStatusSet", list, Xml::instance_status),
        Response::Subnets(list) => xml.list("subnetSet", list, Xml::subnet),
        Response::Vpcs(list) => xml.list("vpcSet", list, Xml::vpc),
        Response::Associated { association } => {
            xml.leaf("return", "true");
            xml.leaf("associationId", association);
        }
        Response::Assigned { interface, addresses } => {
            xml.leaf("networkInterfaceId", interface);
            xml.list("assignedPrivateIpAddressesSet", addresses, |xml, it| {
                xml.leaf("privateIpAddress", &it.to_string());
            });
            xml.leaf("return", "true");
        }
        Response::InstanceStates(list) => xml.list("instancesSet", list, Xml::state_change),
        Response::Protection { instance, attribute, on } => {
            xml.leaf("instanceId", instance);
            xml.open(attribute.word());
            xml.leaf("value", &on.to_string());
            xml.close(attribute.word());
        }
        Response::Done => xml.leaf("return", "true"),
    }
    xml.close(&root);
    xml.0
}

/// The document of a refusal.
pub fn error(error: &ApiError, request_id: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{}</Code><Message>{}</Message>\
         </Error></Errors><RequestID>{request_id}</RequestID></Response>",
        escape(error.code),
        escape(&error.message)
    )
}

struct Xml<'a>(String, Context<'a>);

impl<'a> Xml<'a> {
    fn new(context: &Context<'a>) -> Self {
        Self(String::with_capacity(2048), context.clone())
    }

    fn open(&mut self, name: &str) {
        self.0.push_str(&format!("<{name}>"));
    }

    fn close(&mut self, name: &str) {
        self.0.push_str(&format!("</{name}>"));
    }

    fn leaf(&mut self, name: &str, text: &str) {
        self.0.push_str(&format!("<{name}>{}</{name}>", escape(text)));
    }

    fn some(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.leaf(name, text);
        }
    }

    fn list<T>(&mut self, name: &str, items: &[T], write: impl Fn(&mut Self, &T)) {
        self.open(name);
        for it in items {
            self.open("item");
            write(self, it);
            self.close("item");
        }
        self.close(name);
    }

    fn tags(&mut self, tags: &Tags) {
        let tags: Vec<_> = tags.iter().collect();
        self.list("tagSet", &tags, |xml, (key, value)| {
            xml.leaf("key", key);
            xml.leaf("value", value);
        });
    }

    fn address(&mut self, it: &AddressView) {
        self.leaf("publicIp", &it.address.public_ip.to_string());
        self.leaf("allocationId", &it.address.id);
        self.leaf("domain", "vpc");
        self.some("instanceId", it.instance.as_deref());
        if let Some(at) = &it.address.association {
            self.leaf("associationId", &at.id);
            self.leaf("networkInterfaceId", &at.interface);
            self.leaf("networkInterfaceOwnerId", self.1.account);
            self.leaf("privateIpAddress", &at.private_ip.to_string());
        }
        self.leaf("publicIpv4Pool", "amazon");
        self.leaf("networkBorderGroup", self.1.region);
        self.tags(&it.address.tags);
    }

    fn association(&mut self, it: Option<&ElasticIp>) {
        let Some((address, at)) = it.and_then(|it| Some((it, it.association.as_ref()?))) else { return };
        self.open("association");
        self.leaf("publicIp", &address.public_ip.to_string());
        self.leaf("ipOwnerId", self.1.account);
        self.leaf("allocationId", &address.id);
        self.leaf("associationId", &at.id);
        self.close("association");
    }

    fn interface(&mut self, it: &InterfaceView) {
        let interface = &it.interface;
        self.leaf("networkInterfaceId", &interface.id);
        self.leaf("subnetId", &interface.subnet);
        self.leaf("vpcId", &it.vpc);
        self.leaf("availabilityZone", &it.zone);
        self.leaf("description", &interface.name);
        self.leaf("ownerId", self.1.account);
        self.leaf("requesterManaged", "false");
        self.leaf("status", if interface.attachment.is_some() { "in-use" } else { "available" });
        self.leaf("macAddress", &interface.mac);
        self.leaf("privateIpAddress", &interface.primary.to_string());
        self.leaf("sourceDestCheck", &interface.source_dest_check.to_string());
        self.list("groupSet", &[] as &[()], |_, ()| ());
        if let Some(at) = &interface.attachment {
            self.open("attachment");
            self.leaf("attachmentId", &at.id);
            self.leaf("instanceId", &at.instance);
            self.leaf("instanceOwnerId", self.1.account);
            self.attachment(at);
            self.close("attachment");
        }
        self.addresses(it);
        self.leaf("interfaceType", "interface");
        self.tags(&interface.tags);
    }

    fn attachment(&mut self, at: &crate::sandbox::model::Attachment) {
        self.leaf("deviceIndex", &at.device_index.to_string());
        self.leaf("networkCardIndex", "0");
        self.leaf("status", "attached");
        self.leaf("attachTime", self.1.launched);
        self.leaf("deleteOnTermination", &at.delete_on_termination.to_string());
    }

    fn addresses(&mut self, it: &InterfaceView) {
        let interface = &it.interface;
        self.association(it.elastic_ip_on(interface.primary));
        let addresses: Vec<_> = interface.addresses().collect();
        self.list("privateIpAddressesSet", &addresses, |xml, address| {
            xml.leaf("privateIpAddress", &address.to_string());
            xml.leaf("primary", &(*address == interface.primary).to_string());
            xml.association(it.elastic_ip_on(*address));
        });
        self.list("ipv6AddressesSet", &interface.ipv6, |xml, address| {
            xml.leaf("ipv6Address", &address.to_string());
        });
    }

    fn route_table(&mut self, it: &RouteTableView) {
        self.leaf("routeTableId", &it.table.id);
        self.leaf("vpcId", &it.table.vpc);
        self.leaf("ownerId", self.1.account);
        let routes: Vec<_> = it.table.routes.iter().zip(&it.targets).collect();
        self.list("routeSet", &routes, |xml, (route, (instance, blackhole))| {
            let name = match &route.destination {
                Destination::Cidr(ipnet::IpNet::V4(_)) => "destinationCidrBlock",
                Destination::Cidr(ipnet::IpNet::V6(_)) => "destinationIpv6CidrBlock",
                Destination::PrefixList(_) => "destinationPrefixListId",
            };
            xml.leaf(name, &route.destination.to_string());
            match &route.target {
                Target::Local => xml.leaf("gatewayId", "local"),
                Target::Gateway(id) => xml.leaf("gatewayId", id),
                Target::Interface(id) => {
                    if let Some(instance) = instance {
                        xml.leaf("instanceId", instance);
                        xml.leaf("instanceOwnerId", xml.1.account);
                    }
                    xml.leaf("networkInterfaceId", id);
                }
            }
            xml.leaf("state", route_state(*blackhole));
            let local = route.target == Target::Local;
            xml.leaf("origin", if local { "CreateRouteTable" } else { "CreateRoute" });
        });
        self.list("associationSet", &[] as &[()], |_, ()| ());
        self.list("propagatingVgwSet", &[] as &[()], |_, ()| ());
        self.tags(&it.table.tags);
    }

    fn reservation(&mut self, it: &InstanceView) {
        self.leaf("reservationId", &it.instance.id.replacen("i-", "r-", 1));
        self.leaf("ownerId", self.1.account);
        self.list("groupSet", &[] as &[()], |_, ()| ());
        self.list("instancesSet", std::slice::from_ref(it), Self::instance);
    }

    fn instance(&mut self, it: &InstanceView) {
        let instance = &it.instance;
        self.leaf("instanceId", &instance.id);
        self.leaf("imageId", "ami-00000000000000000");
        self.state("instanceState", instance.state);
        self.leaf("instanceType", "m5.large");
        self.leaf("launchTime", self.1.launched);
        self.leaf("rootDeviceType", instance.root_device.word());
        if let Some(lifecycle) = instance.lifecycle() {
            self.leaf("instanceLifecycle", lifecycle);
            self.leaf("spotInstanceRequestId", &instance.id.replacen("i-", "sir-", 1));
        }
        self.open("placement");
        self.leaf("availabilityZone", &instance.zone);
        self.leaf("tenancy", "default");
        self.close("placement");
        if let Some(first) = it.interfaces.first() {
            self.leaf("subnetId", &first.interface.subnet);
            self.leaf("vpcId", &first.vpc);
            self.leaf("privateIpAddress", &first.interface.primary.to_string());
            let public = first.elastic_ip_on(first.interface.primary).map(|it| it.public_ip.to_string());
            self.some("ipAddress", public.as_deref());
            self.leaf("sourceDestCheck", &first.interface.source_dest_check.to_string());
        }
        self.list("networkInterfaceSet", &it.interfaces, |xml, at| {
            xml.leaf("networkInterfaceId", &at.interface.id);
            xml.leaf("subnetId", &at.interface.subnet);
            xml.leaf("vpcId", &at.vpc);
            xml.leaf("description", &at.interface.name);
            xml.leaf("ownerId", xml.1.account);
            xml.leaf("status", "in-use");
            xml.leaf("macAddress", &at.interface.mac);
            xml.leaf("privateIpAddress", &at.interface.primary.to_string());
            xml.leaf("sourceDestCheck", &at.interface.source_dest_check.to_string());
            if let Some(attachment) = &at.interface.attachment {
                xml.open("attachment");
                xml.leaf("attachmentId", &attachment.id);
                xml.attachment(attachment);
                xml.close("attachment");
            }
            xml.addresses(at);
            xml.leaf("interfaceType", "interface");
        });
        self.tags(&instance.tags);
    }

    fn instance_status(&mut self, it: &Instance) {
        self.leaf("instanceId", &it.id);
        self.leaf("availabilityZone", &it.zone);
        self.state("instanceState", it.state);
        for name in ["systemStatus", "instanceStatus"] {
            let status = status_of(it);
            self.open(name);
            self.leaf("status", status);
            let reachability = match status {
                "ok" => Some("passed"),
                "impaired" => Some("failed"),
                "initializing" => Some("initializing"),
                _ => None,
            };
            let details: Vec<_> = reachability.into_iter().collect();
            self.list("details", &details, |xml, status| {
                xml.leaf("name", "reachability");
                xml.leaf("status", status);
            });
            self.close(name);
        }
    }

    fn state(&mut self, name: &str, state: InstanceState) {
        let (code, word) = state.code();
        self.open(name);
        self.leaf("code", &code.to_string());
        self.leaf("name", word);
        self.close(name);
    }

    fn state_change(&mut self, it: &StateChange) {
        self.leaf("instanceId", &it.instance);
        self.state("currentState", it.current);
        self.state("previousState", it.previous);
    }

    fn subnet(&mut self, (it, free): &(Subnet, usize)) {
        self.leaf("subnetId", &it.id);
        self.leaf("subnetArn", &format!("arn:aws:ec2:{}:{}:subnet/{}", self.1.region, self.1.account, it.id));
        self.leaf("state", "available");
        self.leaf("ownerId", self.1.account);
        self.leaf("vpcId", &it.vpc);
        self.leaf("cidrBlock", &it.cidr.to_string());
        let ipv6: Vec<_> = it.ipv6_cidr.iter().collect();
        self.list("ipv6CidrBlockAssociationSet", &ipv6, |xml, net| {
            xml.leaf("ipv6CidrBlock", &net.to_string());
            xml.open("ipv6CidrBlockState");
            xml.leaf("state", "associated");
            xml.close("ipv6CidrBlockState");
        });
        self.leaf("availableIpAddressCount", &free.to_string());
        self.leaf("availabilityZone", &it.zone);
        self.leaf("defaultForAz", "false");
        self.leaf("mapPublicIpOnLaunch", "false");
        self.tags(&it.tags);
    }

    fn vpc(&mut self, it: &Network) {
        self.leaf("vpcId", &it.id);
        self.leaf("ownerId", self.1.account);
        self.leaf("state", "available");
        self.leaf("cidrBlock", &it.cidr.to_string());
        self.leaf("instanceTenancy", "default");
        self.leaf("isDefault", "false");
        self.tags(&it.tags);
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // XML 1.0, section 2.2: other control characters cannot be written at all.
            it if it < ' ' && !matches!(it, '\t' | '\n' | '\r') => escaped.push('\u{fffd}'),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            it => escaped.push(it),
        }
    }
    escaped
}
