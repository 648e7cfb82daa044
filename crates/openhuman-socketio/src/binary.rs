//! Binary values inside payloads.
//!
//! On the wire a binary value is a placeholder object in the JSON and a frame of its own behind it. When
//! writing, a JSON formatter catches every byte string. When reading, [`Binary`] looks its placeholder up
//! among the attachments of the payload that is being read on this thread.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::ops::Deref;

use bytes::Bytes;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::ser::Formatter;

/// A binary value, anywhere in a payload. It travels as an attachment, not as JSON.
///
/// Cloning shares the bytes. Receiving does not copy them; sending copies them once. Any other type that
/// serializes as a byte string (`serde_bytes`, for example) is sent as an attachment too, but only
/// `Binary` can be received.
///
/// Converting a `Binary` to [`serde_json::Value`] first gives a plain list of numbers, which is then sent
/// as such: put it into a tuple, map or struct of its own instead.
///
/// ```
/// use openhuman_socketio::Binary;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Upload {
///     name: String,
///     content: Binary,
/// }
/// # let _ = Upload { name: "a".into(), content: Binary::from(vec![1, 2, 3]) };
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Binary(pub Bytes);

impl fmt::Debug for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Binary({} bytes)", self.0.len())
    }
}

impl Deref for Binary {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Bytes> for Binary {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl From<Vec<u8>> for Binary {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<&[u8]> for Binary {
    fn from(bytes: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(bytes))
    }
}

impl Serialize for Binary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Binary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PlaceholderVisitor;

        impl<'de> Visitor<'de> for PlaceholderVisitor {
            type Value = Binary;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a binary attachment")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Binary, A::Error> {
                let mut marked = false;
                let mut num: Option<usize> = None;
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "_placeholder" => marked = map.next_value()?,
                        "num" => num = Some(map.next_value()?),
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                match num {
                    Some(num) if marked => Scope::attachment(num)
                        .map(Binary)
                        .ok_or_else(|| A::Error::custom(format_args!("there is no attachment {num}"))),
                    _ => Err(A::Error::custom("expected a binary attachment, found an object")),
                }
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Binary, E> {
                Ok(Binary(Bytes::copy_from_slice(bytes)))
            }

            fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Binary, E> {
                Ok(Binary(bytes.into()))
            }
        }

        deserializer.deserialize_any(PlaceholderVisitor)
    }
}

thread_local! {
    /// Attachments of the payloads being read on this thread; the innermost is last.
    static READING: RefCell<Vec<Vec<Bytes>>> = const { RefCell::new(Vec::new()) };
}

/// Makes the attachments of one payload visible to [`Binary`] while it lives.
pub(crate) struct Scope(());

impl Scope {
    pub(crate) fn enter(attachments: &[Bytes]) -> Self {
        READING.with_borrow_mut(|stack| stack.push(attachments.to_vec()));
        Self(())
    }

    fn attachment(num: usize) -> Option<Bytes> {
        READING.with_borrow(|stack| stack.last().and_then(|attachments| attachments.get(num).cloned()))
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        READING.with_borrow_mut(|stack| {
            stack.pop();
        });
    }
}

/// Compact JSON, with byte strings replaced by placeholders and collected.
pub(crate) struct Extract<'a>(pub(crate) &'a mut Vec<Bytes>);

impl Formatter for Extract<'_> {
    fn write_byte_array<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: &[u8]) -> io::Result<()> {
        write!(writer, r#"{{"_placeholder":true,"num":{}}}"#, self.0.len())?;
        self.0.push(Bytes::copy_from_slice(value));
        Ok(())
    }
}
