//! The receive thread: what each datagram does to it.

use std::net::IpAddr;

use lanc_core::Time;
use serde_json::{Map, Value};

use super::{Death, Original, Running, To, text};

/// What an exception says.
type Raised = String;

fn key_error(key: &str) -> Raised {
    format!("KeyError: {key}")
}

impl Original {
    /// A datagram has arrived.
    pub fn receive(&mut self, now: Time, from: IpAddr, datagram: &[u8]) {
        if self.dead.is_some() {
            return;
        }
        if self.running.is_some() {
            if self.backlog.len() < Self::BACKLOG {
                self.backlog.push_back((from, datagram.to_vec()));
            }
            return;
        }
        if let Err(why) = self.handle(now, from, datagram) {
            self.die(now, from, datagram, why);
        }
    }

    fn die(&mut self, at: Time, from: IpAddr, datagram: &[u8], why: Raised) {
        let datagram = String::from_utf8_lossy(datagram).into_owned();
        self.dead = Some(Death { at, why, datagram, from });
        self.backlog.clear();
        self.running = None;
    }

    /// The function in the receive thread returns; then what has waited is read.
    pub(super) fn function_ended(&mut self, now: Time) {
        let Some(running) = self.running.take() else { return };
        let Some(result) = running.result else {
            self.die(now, running.from, &running.datagram, "the function raised".to_owned());
            return;
        };
        let answer = text::callback(&running.exe_id, &result);
        if answer.len() > 65_507 {
            let why = "OSError is caught, but not there: message too long".to_owned();
            self.die(now, running.from, &running.datagram, why);
            return;
        }
        self.ran.push((running.exe_id, result));
        self.out.push_back((To::Host(running.from), answer));
        while self.running.is_none() && self.dead.is_none() {
            let Some((from, datagram)) = self.backlog.pop_front() else { break };
            self.receive(now, from, &datagram);
        }
    }

    fn handle(&mut self, now: Time, from: IpAddr, datagram: &[u8]) -> Result<(), Raised> {
        if from == self.address {
            return Ok(());
        }
        let read = datagram.get(..Self::ROOM).unwrap_or(datagram);
        let text = std::str::from_utf8(read).map_err(|_| "UnicodeDecodeError".to_owned())?;
        let value: Value = serde_json::from_str(&text.replace('\'', "\""))
            .map_err(|error| format!("JSONDecodeError: {error}"))?;
        let Value::Object(fields) = value else {
            return Err("TypeError: indices must be integers".to_owned());
        };
        let method = match fields.get("method").ok_or_else(|| key_error("method"))? {
            // True is 1 there.
            Value::Bool(is) => f64::from(u8::from(*is)),
            Value::Number(number) => number.as_f64().unwrap_or(-1.0),
            _ => return Ok(()),
        };
        if method == 1.0 {
            self.on_hello(now, from);
            Ok(())
        } else if method == 2.0 {
            self.on_func(from, &fields)
        } else if method == 3.0 {
            self.on_call(now, from, datagram, &fields)
        } else if method == 4.0 {
            self.on_callback(now, &fields)
        } else {
            Ok(())
        }
    }

    fn on_hello(&mut self, now: Time, from: IpAddr) {
        let last = self.heard.insert(from, now);
        if last.is_none_or(|last| now.since(last) > Self::EXPIRY) {
            // The newcomer gets the whole list; the broadcast that was planned is forgotten.
            self.pending.clear();
            self.announce_at = None;
            let names: Vec<_> = self.functions.keys().collect();
            self.out.push_back((To::Host(from), text::hello()));
            self.out.push_back((To::Host(from), text::func(&names)));
        }
    }

    fn on_func(&mut self, from: IpAddr, fields: &Map<String, Value>) -> Result<(), Raised> {
        let data = fields.get("data").ok_or_else(|| key_error("data"))?;
        let type_error = || "TypeError: not a list of objects".to_owned();
        let Value::Array(items) = data else { return Err(type_error()) };
        for item in items {
            let Value::Object(item) = item else { return Err(type_error()) };
            match item.get("name").ok_or_else(|| key_error("name"))? {
                Value::String(name) => self.table.insert(name.clone(), from),
                _ => return Err(type_error()),
            };
        }
        Ok(())
    }

    fn on_call(
        &mut self,
        now: Time,
        from: IpAddr,
        datagram: &[u8],
        fields: &Map<String, Value>,
    ) -> Result<(), Raised> {
        let name = fields.get("data").ok_or_else(|| key_error("data"))?;
        let exe_id = fields.get("exe_id").ok_or_else(|| key_error("exe_id"))?.clone();
        if exe_id.is_array() || exe_id.is_object() {
            return Err("an exe_id that is no scalar".to_owned());
        }
        let mut values = match fields.get("args") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Object(args)) => args.values().cloned().collect(),
            Some(_) => return Err("AttributeError: args has no values".to_owned()),
        };
        match fields.get("kwargs") {
            None | Some(Value::Null) => {}
            Some(Value::Object(kwargs)) if kwargs.is_empty() => {}
            // Alone, the names are what is passed.
            Some(Value::Object(kwargs)) if values.is_empty() => {
                values = kwargs.keys().cloned().map(Value::String).collect();
            }
            Some(Value::Object(kwargs)) => values.extend(kwargs.values().cloned()),
            Some(_) => return Err("TypeError: kwargs is no mapping".to_owned()),
        }
        let function = name.as_str().and_then(|name| self.functions.get(name));
        let function = function.ok_or_else(|| key_error(&name.to_string()))?;
        if function.arity != values.len() {
            let (arity, given) = (function.arity, values.len());
            return Err(format!("TypeError: takes {arity} arguments but {given} were given"));
        }
        let result = (function.body)(&values);
        let ends = now + function.takes;
        let datagram = datagram.to_vec();
        self.running = Some(Running { ends, from, datagram, exe_id, result });
        if ends <= now {
            self.function_ended(now);
        }
        Ok(())
    }

    fn on_callback(&mut self, now: Time, fields: &Map<String, Value>) -> Result<(), Raised> {
        let data = fields.get("data").ok_or_else(|| key_error("data"))?;
        let id = match fields.get("exe_id").ok_or_else(|| key_error("exe_id"))? {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        match self.waiting.get(&id) {
            None => Err(format!("KeyError: {id}, which nobody waits for")),
            Some(from) if *from > now => Err(format!("KeyError: {id}, which came too soon")),
            Some(_) => {
                self.waiting.remove(&id);
                self.results.insert(id, data.clone());
                Ok(())
            }
        }
    }
}
