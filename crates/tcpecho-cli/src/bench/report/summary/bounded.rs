//! Lists and maps in a file that may be longer than any result of ours: refused before they fill memory.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};

/// For `#[serde(deserialize_with)]`: a list of at most `MOST` elements.
pub(in crate::bench) fn list<'de, D, T, const MOST: usize>(from: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    from.deserialize_seq(List::<T, MOST>(PhantomData))
}

/// For `#[serde(deserialize_with)]`: such a list, or null.
pub(in crate::bench) fn optional_list<'de, D, T, const MOST: usize>(
    from: D,
) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Bounded<T, const MOST: usize>(Vec<T>);

    impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Bounded<T, MOST> {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            list::<D, T, MOST>(from).map(Self)
        }
    }

    let read = Option::<Bounded<T, MOST>>::deserialize(from)?;
    Ok(read.map(|Bounded(elements)| elements))
}

/// For `#[serde(deserialize_with)]`: a map of at most `MOST` names.
pub(in crate::bench) fn map<'de, D, T, const MOST: usize>(
    from: D,
) -> Result<BTreeMap<String, T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    from.deserialize_map(Map::<T, MOST>(PhantomData))
}

struct List<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for List<T, MOST> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "a list of at most {MOST} elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let mut all = Vec::new();
        while let Some(element) = seq.next_element()? {
            if all.len() == MOST {
                return Err(A::Error::custom(format!("a list of more than {MOST} elements")));
            }
            all.push(element);
        }
        Ok(all)
    }
}

struct Map<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Map<T, MOST> {
    type Value = BTreeMap<String, T>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "a map of at most {MOST} names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<BTreeMap<String, T>, A::Error> {
        let mut all = BTreeMap::new();
        while let Some((name, value)) = map.next_entry()? {
            if all.len() == MOST {
                return Err(A::Error::custom(format!("a map of more than {MOST} names")));
            }
            all.insert(name, value);
        }
        Ok(all)
    }
}
