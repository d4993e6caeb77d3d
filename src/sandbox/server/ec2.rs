//! EC2's endpoint: one request, its faults, its answer.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Method, Request};

use super::{Answer, World, admin, auth, dropped, hang, query, reply, xml};
use crate::sandbox::model::{ApiError, FaultKind, Response, Service, Verdict};

/// More than any request to EC2 needs.
const LONGEST_BODY: usize = 1 << 20;

pub(super) async fn answer(world: Arc<World>, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let head = Request::from_parts(head, ());
    let Some(body) = auth::read_body(body, LONGEST_BODY).await else {
        return Ok(reply(413, "text/plain", "The request is too long\n".to_owned()));
    };
    if head.uri().path().starts_with(admin::PREFIX) {
        return Ok(admin::answer(&world, &head, &body));
    }
    let form = if head.method() == Method::POST {
        &body[..]
    } else {
        head.uri().query().unwrap_or_default().as_bytes()
    };
    let action = query::action(form);
    let caller = match auth::caller(&world.keys, &head, &body) {
        Ok(key) => key,
        Err(error) => return Ok(finish(&world, "?", &action, Err(error))),
    };
    if caller.instance.as_ref().is_some_and(|it| !world.runs(it)) {
        return Err(dropped());
    }
    let names = [caller.name.as_str(), caller.instance.as_deref().unwrap_or(""), caller.id.as_str()];
    let verdict = {
        let now = world.now();
        world.lock().faults.judge(Service::Ec2, &names, &action, now)
    };
    tokio::time::sleep(verdict.delay / 2).await;
    match verdict.outcome {
        Some(FaultKind::Hang) => return hang().await,
        Some(FaultKind::DropBefore) => return Err(dropped()),
        _ => (),
    }
    let outcome = carry_out(&world, &caller.name, &action, form, &verdict);
    let response = finish(&world, &caller.name, &action, outcome);
    match verdict.outcome {
        Some(FaultKind::HangAfter) => return hang().await,
        Some(FaultKind::DropAfter) => return Err(dropped()),
        _ => (),
    }
    tokio::time::sleep(verdict.delay / 2).await;
    Ok(response)
}

fn carry_out(
    world: &World,
    caller: &str,
    action: &str,
    form: &[u8],
    verdict: &Verdict,
) -> Result<Response, ApiError> {
    if let Some(refusal) = verdict.refusal(action, caller) {
        return Err(refusal);
    }
    let request = query::parse(form)?;
    let now = world.now();
    let mut inner = world.lock();
    let lag = verdict.lag.unwrap_or(inner.vpc.settings().lag);
    inner.vpc.call_with_lag(caller, &request, now, lag)
}

/// Counts the call and writes its answer down in EC2's XML.
fn finish(
    world: &World,
    caller: &str,
    action: &str,
    outcome: Result<Response, ApiError>,
) -> hyper::Response<http_body_util::Full<hyper::body::Bytes>> {
    let mut inner = world.lock();
    let request_id = inner.random.uuid();
    let code = outcome.as_ref().map_or_else(|error| error.code, |_| "OK");
    // Names from outside are not kept: there is no end to them.
    let counted =
        if matches!(code, "AuthFailure" | "InvalidAction" | "MissingAction") { "?" } else { action };
    *inner.calls.entry(format!("{caller} {counted} {code}")).or_insert(0) += 1;
    let (status, body) = match &outcome {
        Ok(response) => {
            let context = xml::Context {
                account: inner.vpc.account(),
                region: inner.vpc.region(),
                request_id: &request_id,
                launched: &world.launched,
            };
            (200, xml::response(action, response, &context))
        }
        Err(error) => (error.status(), xml::error(error, &request_id)),
    };
    drop(inner);
    let mut response = reply(status, "text/xml;charset=UTF-8", body);
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert("x-amzn-requestid", value);
    }
    response
}
