//! Arguments of events and acknowledgements: written once, read only when asked for.

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::de::value::UnitDeserializer;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, IntoDeserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, forward_to_deserialize_any};
use serde_json::Value;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::binary::{Extract, Scope};
use crate::error::{DecodeError, EmitError};
use crate::json;
use crate::limits::Limits;
use crate::packet::{self, Encoded, Kind};

/// A received JSON list inside its frame, and the attachments that belong to it.
#[derive(Clone, PartialEq)]
pub(crate) struct Payload {
    pub(crate) frame: Utf8Bytes,
    body: usize,
    pub(crate) attachments: Vec<Bytes>,
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What the application receives can be confidential.
        write!(f, "Payload({} bytes)", self.size())
    }
}

impl Payload {
    pub(crate) fn new(frame: Utf8Bytes, body: usize) -> Self {
        Self {
            frame,
            body,
            attachments: Vec::new(),
        }
    }

    pub(crate) fn text(&self) -> &str {
        self.frame.as_str().get(self.body..).unwrap_or_default()
    }

    /// Bytes kept alive by this payload.
    pub(crate) fn size(&self) -> usize {
        self.attachments.iter().map(Bytes::len).sum::<usize>() + self.frame.len()
    }

    /// Reads the whole list for errors without building anything.
    pub(crate) fn is_json(&self) -> bool {
        json::is_valid(self.text())
    }

    /// Reads the elements behind the first `skip` as `T`.
    pub(crate) fn args<'de, T: Deserialize<'de>>(&'de self, skip: usize) -> Result<T, DecodeError> {
        let _scope = Scope::enter(&self.attachments);
        let mut json = serde_json::Deserializer::from_str(self.text());
        let value = Arguments {
            skip,
            marker: PhantomData,
        }
        .deserialize(&mut json)?;
        json.end()?;
        Ok(value)
    }

    /// The last element, when it is a string: the offset of an event on servers that can restore sessions.
    pub(crate) fn last_string(&self) -> Option<String> {
        let list = self.text().trim_end().strip_suffix(']')?.trim_end();
        let end = list.strip_suffix('"')?.len();
        // The quote that opens it is the last one that no backslash escapes.
        let mut start = end;
        loop {
            start = memchr::memrchr(b'"', list.as_bytes().get(..start)?)?;
            let before = list.get(..start)?;
            let backslashes = before.len() - before.trim_end_matches('\\').len();
            if backslashes % 2 == 0 {
                break;
            }
        }
        // With one string alone, it is the name.
        let (before, quoted) = list.split_at(start);
        before
            .trim_end()
            .ends_with(',')
            .then(|| serde_json::from_str(quoted).ok())?
    }

    /// The first element behind `skip`, or null.
    pub(crate) fn first(&self, skip: usize) -> Value {
        self.args::<(Value,)>(skip).map_or(Value::Null, |(value,)| value)
    }
}

/// Reads a list, dropping `skip` elements, giving the others to `T` and ignoring what `T` leaves.
struct Arguments<T> {
    skip: usize,
    marker: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Arguments<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Arguments<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of arguments")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
        for _ in 0..self.skip {
            seq.next_element::<IgnoredAny>()?;
        }
        let value = T::deserialize(Elements(&mut seq))?;
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(value)
    }
}

/// The remaining elements of a list as a value. A tuple that is longer than the list is filled with null,
/// as a JavaScript handler sees `undefined` for an argument that was not sent.
struct Elements<'a, A>(&'a mut A);

impl<'de, A: SeqAccess<'de>> Deserializer<'de> for Elements<'_, A> {
    type Error = A::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_seq(self.0)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_seq(Padded {
            seq: self.0,
            remaining: len,
        })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit_struct seq map struct enum identifier ignored_any
    }
}

struct Padded<'a, A> {
    seq: &'a mut A,
    remaining: usize,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Padded<'_, A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        if self.remaining == 0 {
            return Ok(None);
        }
        self.remaining -= 1;
        let mut seed = Some(seed);
        if let Some(value) = self.seq.next_element_seed(Once(&mut seed))? {
            return Ok(Some(value));
        }
        let null: UnitDeserializer<A::Error> = ().into_deserializer();
        seed.map(|seed| seed.deserialize(null)).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.remaining)
    }
}

/// A seed that is taken only when an element is there.
struct Once<'a, T>(&'a mut Option<T>);

impl<'de, T: DeserializeSeed<'de>> DeserializeSeed<'de> for Once<'_, T> {
    type Value = T::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T::Value, D::Error> {
        match self.0.take() {
            Some(seed) => seed.deserialize(deserializer),
            None => Err(serde::de::Error::custom("an element was read twice")),
        }
    }
}

/// How a value becomes arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The value is the only argument.
    One,
    /// The value is a list, each element an argument.
    Spread,
}

/// Encodes an event, checking its name and size.
pub(crate) fn encode_event<T: Serialize + ?Sized>(
    namespace: &str,
    id: Option<u64>,
    name: &str,
    (data, shape): (&T, Shape),
    limits: &Limits,
) -> Result<Encoded, EmitError> {
    if packet::is_reserved(name) {
        return Err(EmitError::ReservedEvent {
            name: name.to_owned(),
        });
    }
    if name.len() > limits.max_event_name_bytes {
        return Err(EmitError::EventNameTooLong {
            size: name.len(),
            max: limits.max_event_name_bytes,
        });
    }
    encode(Kind::Event, namespace, id, Some(name), (data, shape), limits)
}

/// Encodes the reply to an event that asked for one.
pub(crate) fn encode_ack<T: Serialize + ?Sized>(
    namespace: &str,
    id: u64,
    data: (&T, Shape),
    limits: &Limits,
) -> Result<Encoded, EmitError> {
    encode(Kind::Ack, namespace, Some(id), None, data, limits)
}

fn encode<T: Serialize + ?Sized>(
    kind: Kind,
    namespace: &str,
    id: Option<u64>,
    name: Option<&str>,
    (data, shape): (&T, Shape),
    limits: &Limits,
) -> Result<Encoded, EmitError> {
    let mut attachments = Vec::new();
    let mut frame = packet::begin(kind, namespace, id);
    let body = frame.len();
    frame.push(b'[');
    if let Some(name) = name {
        serde_json::to_writer(&mut frame, name)?;
    }
    if name.is_some() && shape == Shape::One {
        frame.push(b',');
    }
    let args = frame.len();
    let mut json = serde_json::Serializer::with_formatter(&mut frame, Extract(&mut attachments));
    data.serialize(&mut json)?;
    splice(&mut frame, args, name.is_some(), shape)?;
    if attachments.len() > limits.max_send_attachments {
        return Err(EmitError::TooManyAttachments {
            count: attachments.len(),
            max: limits.max_send_attachments,
        });
    }
    let encoded = packet::finish(kind, namespace, id, frame, body, attachments)?;
    if encoded.size() > limits.max_buffered_bytes {
        return Err(EmitError::TooLarge {
            size: encoded.size(),
            max: limits.max_buffered_bytes,
        });
    }
    Ok(encoded)
}

/// Joins the value written at `args` to the list that was begun before it, and closes the list.
fn splice(frame: &mut Vec<u8>, args: usize, named: bool, shape: Shape) -> Result<(), EmitError> {
    let written = frame.get(args..).unwrap_or_default();
    match shape {
        Shape::One => frame.push(b']'),
        // `()` serializes as null: no arguments.
        Shape::Spread if written == b"[]" || written == b"null" => {
            frame.truncate(args);
            frame.push(b']');
        }
        Shape::Spread if written.first() == Some(&b'[') => {
            // The list brings its own closing bracket; its opening one becomes the separator.
            if named {
                if let Some(bracket) = frame.get_mut(args) {
                    *bracket = b',';
                }
            } else {
                frame.remove(args);
            }
        }
        Shape::Spread => return Err(EmitError::ArgsNotList),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
