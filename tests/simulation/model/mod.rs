//! The world that the cores live in: the network, EC2, DynamoDB, machines with their services.

pub(crate) mod calls;
pub(crate) mod dynamo;
pub(crate) mod ec2;
pub(crate) mod illness;
pub(crate) mod machine;
pub(crate) mod net;
pub(crate) mod recovery;
pub(crate) mod rest;
pub(crate) mod service;
