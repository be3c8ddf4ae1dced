use crate::{
    inventory::{AttributeName, Query},
    search::Area,
};

/// A search for devices.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceSearch {
    /// What must fit, and the order.
    pub query: Query,
    /// Where the devices must be.
    pub area: Option<Area>,
}

/// What is counted: devices by the texts of an attribute, or records by those of a field.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Term<A = AttributeName> {
    /// What the result is called.
    pub name: String,
    /// The attribute.
    pub attribute: A,
    /// How many texts are told apart.
    pub limit: usize,
    /// What is counted of the devices with each text.
    pub terms: Vec<Term<A>>,
}

impl Term {
    /// How many terms may lie inside each other.
    pub const MAX_DEPTH: usize = 6;

    /// How many texts are told apart where nothing is said.
    pub const LIMIT: usize = 10;
}

/// Devices with one text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bucket {
    /// The text.
    pub key: String,
    /// How many devices have it.
    pub count: u64,
    /// What was counted of them.
    pub aggregations: Vec<Aggregation>,
}

/// What came of a term.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Aggregation {
    /// What it is called.
    pub name: String,
    /// The most frequent texts.
    pub items: Vec<Bucket>,
    /// The number of devices with other texts.
    pub other_count: u64,
}
