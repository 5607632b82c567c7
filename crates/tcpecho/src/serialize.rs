//! The feature `serde`: an [`Ending`] is its word, an [`Errno`] its name, or its number if it has none.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::{Ending, Errno};

impl Serialize for Ending {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl<'de> Deserialize<'de> for Ending {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        Ending::from_word(&word)
            .ok_or_else(|| D::Error::custom(format!("unknown ending {word:?}, expected its word")))
    }
}

impl Serialize for Errno {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.name() {
            Some(name) => serializer.serialize_str(name),
            None => serializer.serialize_i32(self.raw()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;
    use crate::{ConnectOptions, Connection, Server};

    #[test]
    fn endings_and_errnos_are_words() {
        assert_eq!(to_value(Ending::ConnectTimeout).unwrap(), json!("connect-timeout"));
        assert_eq!(from_value::<Ending>(json!("reset")).unwrap(), Ending::Reset);
        assert!(from_value::<Ending>(json!("gone")).is_err());
        assert_eq!(to_value(Errno::EPIPE).unwrap(), json!("EPIPE"));
        assert_eq!(to_value(Errno::from_raw(4000)).unwrap(), json!(4000));
    }

    #[test]
    fn a_failed_connection_is_an_object_with_its_attempts() {
        let server = Server::builder().listen("127.0.0.1:0".parse().unwrap()).start().unwrap();
        let addr = server.addr();
        assert_eq!(to_value(server.stats()).unwrap()["accepted"], 0);
        drop(server);
        let error = Connection::open(&[addr], &ConnectOptions::default()).unwrap_err();
        let object = to_value(error).unwrap();
        let attempt = &object["attempts"][0];
        assert_eq!(attempt["ending"], "refused");
        assert_eq!(attempt["error"]["source"], "ECONNREFUSED");
        assert_eq!(attempt["evidence"]["phase"], "connect");
        assert_eq!(attempt["diagnosis"]["ending"], "refused");
    }
}
