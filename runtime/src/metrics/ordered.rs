//! What goes by the names of metrics, in the order of the file.

use std::fmt::Formatter;
use std::marker::PhantomData;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A small map that keeps the order in which names came; written as a map, and read back in its order.
#[derive(Debug, Clone, PartialEq)]
pub struct Ordered<T>(Vec<(String, T)>);

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Ordered(Vec::new())
    }
}

impl<T> Ordered<T> {
    /// A name that is there keeps its place and takes the value.
    pub fn insert(&mut self, name: String, value: T) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    pub fn get(&self, name: &str) -> Option<&T> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(name, _)| name)
    }

    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.iter().map(|(_, value)| value)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> IntoIterator for Ordered<T> {
    type Item = (String, T);
    type IntoIter = std::vec::IntoIter<(String, T)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<T> Extend<(String, T)> for Ordered<T> {
    fn extend<I: IntoIterator<Item = (String, T)>>(&mut self, all: I) {
        all.into_iter().for_each(|(name, value)| self.insert(name, value));
    }
}

impl<T> FromIterator<(String, T)> for Ordered<T> {
    fn from_iter<I: IntoIterator<Item = (String, T)>>(all: I) -> Self {
        let mut found = Ordered::default();
        found.extend(all);
        found
    }
}

impl<T, const N: usize> From<[(String, T); N]> for Ordered<T> {
    fn from(all: [(String, T); N]) -> Self {
        all.into_iter().collect()
    }
}

impl<T> std::ops::Index<&str> for Ordered<T> {
    type Output = T;

    /// # Panics
    /// If the name is not there.
    fn index(&self, name: &str) -> &T {
        self.get(name).unwrap_or_else(|| panic!("there is no `{name}`"))
    }
}

impl<T: Serialize> Serialize for Ordered<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reading(PhantomData))
    }
}

struct Reading<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Reading<T> {
    type Value = Ordered<T>;

    fn expecting(&self, f: &mut Formatter) -> std::fmt::Result {
        f.write_str("a map from names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Ordered::default();
        while let Some((name, value)) = map.next_entry::<String, T>()? {
            found.insert(name, value);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_file_there_and_back() {
        let metrics: Ordered<f64> =
            ["mrr", "hits_1", "hits_3", "hits_10"].into_iter().map(|name| (name.to_owned(), 0.5)).collect();
        let text = serde_json::to_string(&metrics).expect("JSON");
        assert_eq!(text, r#"{"mrr":0.5,"hits_1":0.5,"hits_3":0.5,"hits_10":0.5}"#);
        assert_eq!(serde_json::from_str::<Ordered<f64>>(&text).expect("a map"), metrics);
    }
}
