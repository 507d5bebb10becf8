//! Counts the memory of a value while it is read, and stops before there is too much of it.
//!
//! A text of a few bytes may be a value of many: `[{},{}]` holds two of a type whose fields all
//! have defaults, however large. How large, a [`Visitor`] and a [`DeserializeSeed`] know by
//! their types. So what stands between serde and the text can count each value before a list or map
//! takes it. It counts for the worst that the usual containers do with it, a few times what stays:
//! a vector that grows has room for twice its elements, and holds the old ones meanwhile; a
//! map of one entry has room for eleven.
//!
//! Not seen are values that serde makes of others that it keeps meanwhile (`untagged`,
//! `flatten`), which are counted as what is kept, and what an implementation of `Deserialize`
//! allocates by itself.

use core::cell::Cell;
use core::fmt;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};

/// Bytes that an allocation may take beside what is in it.
const ALLOCATION: usize = 16;

/// Times the size of an element that a vector may take while it grows: the least capacity is 4.
const GROWTH: usize = 4;

/// Times the size of an entry that the first one of a map takes: those of a node.
const NODE: usize = 12;

/// The memory that a value may take.
#[derive(Debug)]
pub(super) struct Allowance {
    left: Cell<usize>,
    exceeded: Cell<bool>,
}

impl Allowance {
    pub(super) const fn new(bytes: usize) -> Self {
        Self { left: Cell::new(bytes), exceeded: Cell::new(false) }
    }

    /// Whether the value was given up because it would have taken more.
    pub(super) fn is_exceeded(&self) -> bool {
        self.exceeded.get()
    }

    /// Bytes that were not counted for anything.
    pub(super) fn left(&self) -> usize {
        self.left.get()
    }

    fn take<E: Error>(&self, bytes: usize) -> Result<(), E> {
        if let Some(left) = self.left.get().checked_sub(bytes) {
            self.left.set(left);
            return Ok(());
        }
        self.exceeded.set(true);
        Err(E::custom("the value takes more memory than there is for it"))
    }

    /// Counts `times` the size of a `T`.
    fn take_of<T, E: Error>(&self, times: usize) -> Result<(), E> {
        self.take(times.saturating_mul(size_of::<T>()))
    }
}

/// A part of serde's, between which and the text values are counted.
pub(super) struct Counted<'c, T> {
    pub(super) inner: T,
    pub(super) allowance: &'c Allowance,
    /// Entries so far, of a list or map that keeps them in memory of its own.
    entries: Option<usize>,
}

impl<'c, T> Counted<'c, T> {
    pub(super) const fn new(inner: T, allowance: &'c Allowance) -> Self {
        Self { inner, allowance, entries: None }
    }

    /// How many times the size of an entry of a map is counted.
    const fn times(&self) -> usize {
        match self.entries {
            // It is a field of a struct, which was counted.
            None => 0,
            Some(0 | 1) => NODE,
            Some(_) => GROWTH,
        }
    }

    const fn other<U>(&self, inner: U) -> Counted<'c, U> {
        Counted::new(inner, self.allowance)
    }
}

/// Forwards what makes a value that holds no other.
macro_rules! scalars {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            let visitor = self.other(visitor);
            self.inner.$method(visitor)
        }
    )*};
}

/// Forwards what may hold others, and stand in memory of its own: in a `Box`, a list, a map.
macro_rules! containers {
    ($($method:ident($($name:ident: $type:ty),*) $kept:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(
            self,
            $($name: $type,)*
            visitor: V,
        ) -> Result<V::Value, D::Error> {
            self.allowance.take(size_of::<V::Value>() + ALLOCATION)?;
            let visitor = Counted { entries: $kept, ..self.other(visitor) };
            self.inner.$method($($name,)* visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Counted<'_, D> {
    type Error = D::Error;

    scalars! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_u128 deserialize_f32 deserialize_f64 deserialize_char deserialize_str
        deserialize_unit
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        // The number of a field or variant, most often, which has no memory.
        if size_of::<V::Value>() < size_of::<&str>() {
            return self.inner.deserialize_identifier(visitor);
        }
        let visitor = self.other(visitor);
        self.inner.deserialize_identifier(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_ignored_any(visitor)
    }

    containers! {
        deserialize_any() Some(0);
        deserialize_string() None;
        deserialize_bytes() Some(0);
        deserialize_byte_buf() Some(0);
        deserialize_option() None;
        deserialize_unit_struct(name: &'static str) None;
        deserialize_newtype_struct(name: &'static str) None;
        deserialize_seq() Some(0);
        deserialize_tuple(length: usize) None;
        deserialize_tuple_struct(name: &'static str, length: usize) None;
        deserialize_map() Some(0);
        deserialize_struct(name: &'static str, fields: &'static [&'static str]) None;
        deserialize_enum(name: &'static str, variants: &'static [&'static str]) None;
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// Forwards values that take no memory beside their own.
macro_rules! values {
    ($($method:ident $type:ty,)*) => {$(
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        }
    )*};
}

/// Forwards texts and bytes, of which there may be copies.
macro_rules! texts {
    ($($method:ident $type:ty,)*) => {$(
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.allowance.take(value.len() + ALLOCATION)?;
            self.inner.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Counted<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    values! {
        visit_bool bool, visit_i8 i8, visit_i16 i16, visit_i32 i32, visit_i64 i64,
        visit_i128 i128, visit_u8 u8, visit_u16 u16, visit_u32 u32, visit_u64 u64,
        visit_u128 u128, visit_f32 f32, visit_f64 f64, visit_char char,
    }

    texts! {
        visit_str &str, visit_borrowed_str &'de str, visit_string alloc::string::String,
        visit_bytes &[u8], visit_borrowed_bytes &'de [u8], visit_byte_buf alloc::vec::Vec<u8>,
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        let value = self.other(value);
        self.inner.visit_some(value)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        let value = self.other(value);
        self.inner.visit_newtype_struct(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = Counted { entries: self.entries, ..self.other(access) };
        self.inner.visit_seq(access)
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = Counted { entries: self.entries, ..self.other(access) };
        self.inner.visit_map(access)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = self.other(access);
        self.inner.visit_enum(access)
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Counted<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let seed = self.other(seed);
        let element = self.inner.next_element_seed(seed)?;
        if element.is_some() && self.entries.is_some() {
            self.allowance.take_of::<S::Value, _>(GROWTH)?;
        }
        Ok(element)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Counted<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let seed = self.other(seed);
        let key = self.inner.next_key_seed(seed)?;
        if key.is_some() {
            self.entries = self.entries.map(|entries| entries + 1);
            self.allowance.take_of::<S::Value, _>(self.times())?;
        }
        Ok(key)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.allowance.take_of::<S::Value, _>(self.times())?;
        let seed = self.other(seed);
        self.inner.next_value_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Counted<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        let inner = self.other(inner);
        self.inner.deserialize(inner)
    }
}

impl<'de, 'c, A: EnumAccess<'de>> EnumAccess<'de> for Counted<'c, A> {
    type Error = A::Error;
    type Variant = Counted<'c, A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let seed = self.other(seed);
        let (value, variant) = self.inner.variant_seed(seed)?;
        Ok((value, Counted::new(variant, self.allowance)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Counted<'_, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        let seed = self.other(seed);
        self.inner.newtype_variant_seed(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let visitor = self.other(visitor);
        self.inner.tuple_variant(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let visitor = self.other(visitor);
        self.inner.struct_variant(fields, visitor)
    }
}
