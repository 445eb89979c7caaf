//! One request of an older revision: where the stateless protocol returns to ask, this asks and waits.

use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::poll;
use serde_json::{Map, Value, json};
use std::task::Poll;
use tokio::sync::mpsc;

use super::{Heard, Session, Sessions, Signal, Signals, key};
use crate::call::{Asked, Context, Event, Inputs, Outbox};
use crate::error::Error;
use crate::mcp::envelope::{self, Id};
use crate::mcp::{Fault, Outcome, Request, Revision};
use crate::secrets::random_token;

/// How long a person may take to answer.
const PATIENCE: Duration = Duration::from_secs(600);

/// Times that one call may ask.
const MOST_ROUNDS: usize = 16;

/// Something on its way to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// A message that is not the response.
    Message(Bytes),
    /// The stream may be closed; the client comes back for the rest.
    Close,
}

/// Where messages before the response go.
pub type Sink = mpsc::Sender<Outgoing>;

impl Sessions {
    /// Answers a request within a session; none where the client withdrew it.
    pub async fn answer(
        &self,
        session: &Session,
        id: &Id,
        method: &str,
        params: &Bytes,
        context: Context,
        sink: &Sink,
    ) -> Option<Bytes> {
        let done = |outcome: Result<(), Fault>| match outcome {
            Ok(()) => envelope::result(id, b"{}"),
            Err(fault) => envelope::error(Some(id), &fault),
        };
        let _place = match self.running.begin(&session.id) {
            Ok(place) => place,
            Err(error) => return Some(envelope::error(Some(id), &error.into())),
        };
        Some(match method {
            "ping" => done(Ok(())),
            "logging/setLevel" if self.engine.capabilities(session.revision).contains_key("logging") => {
                done(self.set_log_level(session, params).await)
            }
            "resources/subscribe" if self.engine.watches() => done(self.subscribe(session, params, true).await),
            "resources/unsubscribe" if self.engine.watches() => done(self.subscribe(session, params, false).await),
            _ => {
                let request = Request { method: method.to_owned(), params: params.clone(), revision: session.revision };
                match self.carry_on(session, id, &request, context, sink).await {
                    Ok(Some(result)) => envelope::result(id, &result),
                    Ok(None) => return None,
                    Err(fault) => envelope::error(Some(id), &fault),
                }
            }
        })
    }

    /// Calls the engine, asks the client what it wants to know, and calls it again, until there is a result.
    async fn carry_on(
        &self,
        session: &Session,
        id: &Id,
        request: &Request,
        context: Context,
        sink: &Sink,
    ) -> Result<Option<Bytes>, Fault> {
        let mut context = session.context(context);
        let progress = progress_token(&request.params);
        let mut signals = None;
        for _ in 0..MOST_ROUNDS {
            let (outbox, mut events) = Outbox::new(progress.clone());
            context.outbox = outbox;
            let mut run = pin!(self.engine.call(request, context.clone()));
            // Most calls are done at once: those need not listen.
            let mut outcome = match poll!(&mut run) {
                Poll::Ready(outcome) => Some(outcome),
                Poll::Pending => None,
            };
            while outcome.is_none() {
                let listening = match &mut signals {
                    Some(listening) => listening,
                    none => none.insert(self.signals_at_last(&session.id).await),
                };
                tokio::select! {
                    biased;
                    Some(event) = events.recv() => forward(event, session.revision, sink).await,
                    finished = &mut run => outcome = Some(finished),
                    signal = listening.next() => {
                        if self.is_the_end(&signal, session, id).await {
                            context.cancelled.cancel();
                            return Ok(None);
                        }
                    }
                }
            }
            while let Ok(event) = events.try_recv() {
                forward(event, session.revision, sink).await;
            }
            let asked = match outcome.transpose()? {
                Some(Outcome::Complete(result)) => return Ok(Some(result)),
                Some(Outcome::InputRequired { asked, .. }) => asked,
                Some(Outcome::Task(_)) | None => {
                    return Err(Error::internal("a task was made for a client that cannot wait for one").into());
                }
            };
            let listening = match &mut signals {
                Some(listening) => listening,
                none => none.insert(self.signals(&session.id).await?),
            };
            match self.ask(session, id, &asked, listening, sink).await? {
                Some(responses) => {
                    context.inputs.responses.extend(responses);
                    context.inputs = Inputs { state: asked.state, ..context.inputs };
                }
                None => return Ok(None),
            }
        }
        Err(Fault::invalid_request(format!("the call asked {MOST_ROUNDS} times and still is not done")))
    }

    /// Asks the client everything at once and waits for all answers, from whichever replica they come.
    async fn ask(
        &self,
        session: &Session,
        id: &Id,
        asked: &Asked,
        signals: &mut Signals,
        sink: &Sink,
    ) -> Result<Option<Map<String, Value>>, Fault> {
        let mut open = HashMap::new();
        for (key, request) in &asked.requests {
            let (method, mut params) = request.wire();
            // Modes came with 2025-11-25.
            if session.revision < Revision::V2025_11_25
                && method == "elicitation/create"
                && let Value::Object(params) = &mut params
            {
                params.shift_remove("mode");
            }
            let question = random_token("ask-");
            self.open_question(session, &question).await?;
            let _ = sink.send(Outgoing::Message(envelope::request(&question, method, &params))).await;
            open.insert(question, (key.clone(), method));
        }
        let mut answers = Map::new();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !open.is_empty() {
            let heard = tokio::time::timeout_at(deadline, signals.next()).await.map_err(|_| {
                Fault::from(Error::TimedOut(format!("the client did not answer within {} s", PATIENCE.as_secs())))
            })?;
            if self.is_the_end(&heard, session, id).await {
                return Ok(None);
            }
            let answered: Vec<String> = match heard {
                Heard::Signal(Signal::Answered(question)) => vec![question],
                Heard::Signal(_) => continue,
                // Any of them may have been answered.
                Heard::Gap => open.keys().cloned().collect(),
            };
            for question in answered {
                let Some((key, method)) = open.get(&question) else { continue };
                let Some(result) = self.answer_to(session, &question).await? else { continue };
                let answer = match result {
                    Ok(answer) => answer,
                    // A client that cannot show the form says so with an error: the person did not agree.
                    Err(_) if *method == "elicitation/create" => json!({"action": "cancel"}),
                    Err(error) => {
                        let message = error.get("message").and_then(Value::as_str).unwrap_or("no reason given");
                        return Err(Fault::invalid_request(format!("the client refused `{method}`: {message}")));
                    }
                };
                answers.insert(key.clone(), answer);
                open.remove(&question);
            }
        }
        Ok(Some(answers))
    }

    /// Whether nobody waits for the answer to a request any more.
    async fn is_the_end(&self, heard: &Heard, session: &Session, id: &Id) -> bool {
        match heard {
            Heard::Signal(Signal::Withdrawn(withdrawn)) => withdrawn == id,
            Heard::Signal(Signal::Ended) => true,
            Heard::Signal(_) => false,
            Heard::Gap => matches!(self.store.get(&key(&session.id, &session.owner)).await, Ok(None)),
        }
    }
}

async fn forward(event: Event, revision: Revision, sink: &Sink) {
    let outgoing = match event {
        Event::CloseStream => Outgoing::Close,
        Event::Notification { method, mut params } => {
            if method == "notifications/progress"
                && revision < Revision::V2025_03_26
                && let Value::Object(params) = &mut params
            {
                params.shift_remove("message");
            }
            Outgoing::Message(envelope::notification(method, &params))
        }
    };
    // A client that left gets the rest when it comes back.
    let _ = sink.send(outgoing).await;
}

fn progress_token(params: &Bytes) -> Option<Value> {
    #[derive(serde::Deserialize)]
    struct Params {
        #[serde(rename = "_meta")]
        meta: Option<Meta>,
    }
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Meta {
        progress_token: Option<Value>,
    }
    let token = serde_json::from_slice::<Params>(params).ok()?.meta?.progress_token?;
    (token.is_string() || token.is_i64() || token.is_u64()).then_some(token)
}
