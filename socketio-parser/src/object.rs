//! The members of an object.

use std::{fmt, mem, slice, vec};

use indexmap::{IndexMap, map};
use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::value::Value;

/// An object with at most this many members has no table of hashes, because comparing the keys
/// takes less time and memory.
const MAX_COMPARED: usize = 16;

/// An object: members that have a name and a value. They keep the order of their arrival. A member
/// that is inserted again keeps its place.
///
/// A member of a small object is found by comparing names, one of a large object by a hash with
/// random keys. A peer that chooses the names therefore cannot make the search slow.
///
/// ```
/// use socketio_parser::{Object, Value};
///
/// let mut object = Object::from_iter([("id".to_owned(), Value::from(7))]);
/// object.insert("name".to_owned(), "Ada".into());
/// assert_eq!(object.get("name").and_then(Value::as_str), Some("Ada"));
/// assert_eq!(object.keys().collect::<Vec<_>>(), ["id", "name"]);
/// ```
#[derive(Clone)]
pub struct Object(Members);

#[derive(Clone)]
enum Members {
    Few(Vec<(String, Value)>),
    /// Boxed, so that a [`Value`] stays small.
    Many(Box<IndexMap<String, Value>>),
}

impl Object {
    /// Creates an object without members.
    pub const fn new() -> Self {
        Self(Members::Few(Vec::new()))
    }

    /// Creates an object with room for members.
    pub fn with_capacity(members: usize) -> Self {
        Self(match members {
            ..=MAX_COMPARED => Members::Few(Vec::with_capacity(members)),
            _ => Members::Many(Box::new(IndexMap::with_capacity(members))),
        })
    }

    /// Returns the number of members.
    pub fn len(&self) -> usize {
        match &self.0 {
            Members::Few(list) => list.len(),
            Members::Many(map) => map.len(),
        }
    }

    /// Returns whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the value of a member.
    pub fn get(&self, key: &str) -> Option<&Value> {
        match &self.0 {
            Members::Few(list) => list.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            Members::Many(map) => map.get(key),
        }
    }

    /// Returns the value of a member, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        match &mut self.0 {
            Members::Few(list) => {
                list.iter_mut().find(|(name, _)| name == key).map(|(_, value)| value)
            }
            Members::Many(map) => map.get_mut(key),
        }
    }

    /// Returns whether there is a member of this name.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Inserts a member. If there is a member of this name, replaces its value and returns the
    /// former value.
    pub fn insert(&mut self, key: String, value: Value) -> Option<Value> {
        match &mut self.0 {
            Members::Few(list) => {
                if let Some((_, former)) = list.iter_mut().find(|(name, _)| *name == key) {
                    return Some(mem::replace(former, value));
                }
                if list.len() < MAX_COMPARED {
                    list.push((key, value));
                    return None;
                }
                let members = mem::take(list).into_iter().chain([(key, value)]);
                self.0 = Members::Many(Box::new(members.collect()));
                None
            }
            Members::Many(map) => map.insert(key, value),
        }
    }

    /// Removes a member and returns its value. The other members keep their order, so this takes
    /// time in proportion to their number.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        match &mut self.0 {
            Members::Few(list) => {
                let at = list.iter().position(|(name, _)| name == key)?;
                Some(list.remove(at).1)
            }
            Members::Many(map) => map.shift_remove(key),
        }
    }

    /// Returns the members in their order.
    pub fn iter(&self) -> ObjectIter<'_> {
        ObjectIter(match &self.0 {
            Members::Few(list) => Either::Few(list.iter()),
            Members::Many(map) => Either::Many(map.iter()),
        })
    }

    /// Returns the names of the members in their order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &String> {
        self.iter().map(|(key, _)| key)
    }

    /// Returns the values of the members in their order.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &Value> {
        self.iter().map(|(_, value)| value)
    }
}

impl Default for Object {
    fn default() -> Self {
        Self::new()
    }
}

/// The order of the members does not matter.
impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(key, value)| other.get(key) == Some(value))
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Members::Few(list) = &self.0 else { return serializer.collect_map(self) };
        let mut map = serializer.serialize_map(Some(list.len()))?;
        for (key, value) in list {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl Extend<(String, Value)> for Object {
    fn extend<I: IntoIterator<Item = (String, Value)>>(&mut self, members: I) {
        for (key, value) in members {
            self.insert(key, value);
        }
    }
}

impl FromIterator<(String, Value)> for Object {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(members: I) -> Self {
        let mut object = Self::new();
        object.extend(members);
        object
    }
}

impl<'a> IntoIterator for &'a Object {
    type Item = (&'a String, &'a Value);
    type IntoIter = ObjectIter<'a>;

    fn into_iter(self) -> ObjectIter<'a> {
        self.iter()
    }
}

impl IntoIterator for Object {
    type Item = (String, Value);
    type IntoIter = ObjectIntoIter;

    fn into_iter(self) -> ObjectIntoIter {
        ObjectIntoIter(match self.0 {
            Members::Few(list) => Either::Few(list.into_iter()),
            Members::Many(map) => Either::Many(map.into_iter()),
        })
    }
}

#[derive(Clone, Debug)]
enum Either<F, M> {
    Few(F),
    Many(M),
}

/// The members of an [`Object`], in their order.
#[derive(Clone, Debug)]
pub struct ObjectIter<'a>(Either<slice::Iter<'a, (String, Value)>, map::Iter<'a, String, Value>>);

impl<'a> Iterator for ObjectIter<'a> {
    type Item = (&'a String, &'a Value);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Either::Few(list) => list.next().map(|(key, value)| (key, value)),
            Either::Many(map) => map.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            Either::Few(list) => list.size_hint(),
            Either::Many(map) => map.size_hint(),
        }
    }
}

impl ExactSizeIterator for ObjectIter<'_> {}

/// The members of an [`Object`] that was taken apart, in their order.
#[derive(Debug)]
pub struct ObjectIntoIter(Either<vec::IntoIter<(String, Value)>, map::IntoIter<String, Value>>);

impl Iterator for ObjectIntoIter {
    type Item = (String, Value);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Either::Few(list) => list.next(),
            Either::Many(map) => map.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            Either::Few(list) => list.size_hint(),
            Either::Many(map) => map.size_hint(),
        }
    }
}

impl ExactSizeIterator for ObjectIntoIter {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Three times as many names as an object without hashes has.
        #[test]
        fn an_object_of_any_size_agrees_with_an_indexed_map(
            steps in proptest::collection::vec((0_u32..48, any::<bool>()), 0..120)
        ) {
            let (mut object, mut map) = (Object::new(), IndexMap::new());
            for (at, (key, insert)) in steps.into_iter().enumerate() {
                let key = key.to_string();
                if insert {
                    let value = Value::from(at);
                    prop_assert_eq!(object.insert(key.clone(), value.clone()), map.insert(key, value));
                } else {
                    prop_assert_eq!(object.get_mut(&key), map.get_mut(&key));
                    prop_assert_eq!(object.remove(&key), map.shift_remove(&key));
                    prop_assert!(!object.contains_key(&key));
                }
                prop_assert_eq!(object.len(), map.len());
            }
            prop_assert_eq!(object.is_empty(), map.is_empty());
            prop_assert!(object.iter().eq(map.iter()));
            prop_assert!(object.keys().zip(object.values()).eq(map.iter()));
            prop_assert_eq!(&object, &map.clone().into_iter().rev().collect::<Object>());
            let json = map.iter().map(|(key, value)| (key.clone(), serde_json::to_value(value).unwrap()));
            let json: serde_json::Map<_, _> = json.collect();
            prop_assert_eq!(serde_json::to_string(&object).unwrap(), serde_json::to_string(&json).unwrap());
            prop_assert!(object.into_iter().eq(map));
        }
    }

    #[test]
    fn a_value_is_not_larger_than_binary_with_a_tag() {
        assert_eq!(size_of::<Value>(), size_of::<bytes::Bytes>() + 8);
    }
}
