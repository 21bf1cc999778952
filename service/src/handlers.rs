//! The request handlers of the service: one function per call of the API. SQL and cache protocols are elsewhere.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use oxicorn_common::bell::Bell;
use oxicorn_common::{App, Request, Response, ResponseSink, Settings, WorkerContext};
use serde::Serialize;

use super::cache::{self, Cache, FreshBody};
use super::input::RequestInput;
use super::keys::{session_key, task_key, user_key};
use super::model::{NewTask, NewUser, TaskFilter, UserChange, UserRef};
use super::problem::Problem;
use super::readiness::Readiness;
use super::routes::{Call, Routes};
use super::settings::ServiceSettings;
use super::store::{self, Now, PoolShape, Store, TaskPage};

/// Tasks that one list may have.
const MAX_LIMIT: u32 = 1000;
const DEFAULT_LIMIT: u32 = 50;
/// The fields of a user.
const USER: [&str; 3] = ["username", "email", "fullName"];

type HandlerResult = Result<Response, Problem>;

/// The application of one worker.
#[derive(Debug)]
pub(crate) struct Service {
    routes: Routes,
    store: Arc<dyn Store>,
    cache: Arc<dyn Cache>,
    /// Wakes the runners.
    bell: Bell,
    readiness: Readiness,
    settings: ServiceSettings,
}

impl App for Service {
    fn call(&self, request: &mut Request, _sink: &mut ResponseSink<'_>) -> Response {
        let answer = self.answer(request);
        answer.unwrap_or_else(|problem| problem.into_response(request.method(), request.path()))
    }

    fn body_limit(&self) -> Option<u64> {
        Some(self.settings.service_body_limit).filter(|limit| *limit > 0)
    }
}

impl Service {
    pub(crate) fn new(context: &WorkerContext) -> anyhow::Result<Self> {
        let settings: &Settings = &context.settings;
        let cache = cache::open(context)?;
        let store = store::open(context, PoolShape::of_worker(settings), cache.clone())?;
        cache.attach(&store);
        let readiness = Readiness::new(store.clone(), cache.clone(), context);
        Ok(Self {
            routes: Routes::new()?,
            store,
            cache,
            bell: context.bell.clone(),
            readiness,
            settings: ServiceSettings::of(settings).clone(),
        })
    }

    fn answer(&self, request: &mut Request) -> HandlerResult {
        match self.routes.find(request.method(), request.path())? {
            Call::Health => Ok(Response::json(
                StatusCode::OK,
                br#"{"status":"healthy","service":"eventstreammonitor"}"#.to_vec(),
            )),
            Call::Ready => Ok(self.readiness.answer()?),
            Call::Options(allow) => Ok(Response::new(StatusCode::NO_CONTENT).field("Allow", allow)),
            Call::CreateTask => self.create_task(request),
            Call::ListTasks => self.list_tasks(request),
            Call::ShowTask(id) => self.show("task", &task_key(id), "such task", || {
                let task = self.store.task(id)?;
                Ok(task.map(|task| (task, self.settings.task_cache_ttl)))
            }),
            Call::CancelTask(id) => self.cancel_task(id),
            Call::CreateUser => self.create_user(request),
            Call::ShowUser(id) => self.show("user", &user_key(id), "such user", || {
                let user = self.store.user(id)?;
                Ok(user.map(|user| (user, self.settings.user_cache_ttl)))
            }),
            Call::ChangeUser(id) => self.change_user(id, request),
            Call::DeleteUser(id) => deleted(self.store.delete_user(id)?, "user"),
            Call::CreateSession => self.create_session(request),
            Call::ShowSession(id) => self.show_session(&id),
            Call::RefreshSession(id) => self.refresh_session(&id, request),
            Call::DeleteSession(id) => {
                deleted(self.store.delete_session(&id, Now::Store)?, "session")
            }
        }
    }

    fn create_task(&self, request: &mut Request) -> HandlerResult {
        let names = ["userId", "taskType", "priority", "parameters"];
        let mut input = RequestInput::from_body(request, &names)?;
        let user_id = input.required("userId");
        let task_type = input.optional("taskType").unwrap_or_default();
        let priority = input.optional("priority").unwrap_or_default();
        let parameters = input.object("parameters").unwrap_or_default();
        let new = input.finish(user_id.map(|user_id| NewTask {
            user_id,
            task_type,
            priority,
            parameters,
        }))?;
        let task = self.store.create_task(&new, Now::Store)?;
        self.bell.ring();
        let location = format!("{}/{}", request.path(), task.task_id);
        Ok(one(StatusCode::CREATED, "task", &task)?.field("Location", location))
    }

    fn list_tasks(&self, request: &Request) -> HandlerResult {
        // Before the query is parsed: the same text means the same list.
        let query = request.query().unwrap_or_default();
        let body = self.cache.read_list(query, &mut || {
            let names = ["status", "taskType", "userId", "limit", "offset"];
            let mut input = RequestInput::from_query(request, &names);
            let filter = TaskFilter {
                status: input.optional("status"),
                task_type: input.optional("taskType"),
                user_id: input
                    .optional("userId")
                    .map(|id: String| UserRef::stored_forms(&id)),
            };
            let limit = input
                .number("limit", 1..=MAX_LIMIT)
                .unwrap_or(DEFAULT_LIMIT);
            let offset = input.number("offset", 0..=i64::MAX).unwrap_or(0);
            let filter = input.finish(Some(filter))?;
            let page = self.store.tasks(&filter, limit, offset)?;
            let body = serde_json::to_vec(&List::new(&page, limit, offset))?.into();
            let ttl = self.settings.task_cache_ttl;
            Ok(Some(FreshBody { body, ttl }))
        })?;
        let body = body.ok_or(Problem::NotFound("such list"))?;
        Ok(Response::json(StatusCode::OK, body))
    }

    fn cancel_task(&self, id: i64) -> HandlerResult {
        match self.store.cancel_task(id, Now::Store)? {
            None => Err(Problem::NotFound("such task")),
            Some((task, false)) => Err(Problem::Final(task.summary.status)),
            Some((task, true)) => one(StatusCode::OK, "task", &task),
        }
    }

    fn create_user(&self, request: &mut Request) -> HandlerResult {
        let mut input = RequestInput::from_body(request, &USER)?;
        let names = (
            input.required_text("username"),
            input.required_text("email"),
        );
        let full_name = input.text("fullName");
        let new = input.finish_valid(match names {
            (Some(username), Some(email)) => Some(NewUser {
                username,
                email,
                full_name,
            }),
            _ => None,
        })?;
        let user = self.store.create_user(&new, Now::Store)?;
        let location = format!("{}/{}", request.path(), user.user_id);
        Ok(one(StatusCode::CREATED, "user", &user)?.field("Location", location))
    }

    fn change_user(&self, id: i64, request: &mut Request) -> HandlerResult {
        let mut input = RequestInput::from_body(request, &USER)?;
        let change = UserChange {
            username: input.text("username"),
            email: input.text("email"),
            full_name: input.text("fullName"),
        };
        let change = input.finish_valid(Some(change))?;
        let user = self.store.change_user(id, &change, Now::Store)?;
        one(
            StatusCode::OK,
            "user",
            &user.ok_or(Problem::NotFound("such user"))?,
        )
    }

    fn create_session(&self, request: &mut Request) -> HandlerResult {
        let mut input = RequestInput::from_body(request, &["userId", "data"])?;
        let user_id = input.integer("userId");
        let data = input.object("data").unwrap_or_default();
        let user_id = input.finish(user_id)?;
        let ttl = self.settings.session_ttl;
        let session = self.store.create_session(user_id, &data, ttl, Now::Store)?;
        let session = session.ok_or_else(|| Problem::field("userId", "is no user"))?;
        let location = format!("{}/{}", request.path(), session.session_id);
        Ok(one(StatusCode::CREATED, "session", &session)?.field("Location", location))
    }

    fn show_session(&self, id: &str) -> HandlerResult {
        self.show("session", &session_key(id), "such session", || {
            let session = self.store.session(id, Now::Store)?;
            Ok(session.map(|(session, left)| (session, self.settings.session_cache_ttl.min(left))))
        })
    }

    fn refresh_session(&self, id: &str, request: &mut Request) -> HandlerResult {
        let data = if request.body.length() == 0 {
            None
        } else {
            let mut input = RequestInput::from_body(request, &["data"])?;
            let data = input.object("data");
            input.finish(Some(data))?
        };
        let ttl = self.settings.session_ttl;
        let session = self
            .store
            .refresh_session(id, data.as_ref(), ttl, Now::Store)?;
        let session = session.ok_or(Problem::NotFound("such session"))?;
        one(StatusCode::OK, "session", &session)
    }

    /// Returns the object from the cache, or else what `find` finds in the store.
    fn show<T: Serialize>(
        &self,
        kind: &str,
        key: &str,
        nothing: &'static str,
        find: impl Fn() -> Result<Option<(T, Duration)>, Problem>,
    ) -> HandlerResult {
        let body = self.cache.read_through(key, &mut || {
            let Some((found, ttl)) = find()? else {
                return Ok(None);
            };
            let body = wrapped(kind, &found)?.into();
            Ok(Some(FreshBody { body, ttl }))
        })?;
        let body = body.ok_or(Problem::NotFound(nothing))?;
        Ok(Response::json(StatusCode::OK, body))
    }
}

#[derive(Serialize)]
struct List<'a> {
    tasks: &'a [super::model::TaskSummary],
    pagination: Pagination,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pagination {
    total: i64,
    limit: u32,
    offset: i64,
    has_more: bool,
}

impl<'a> List<'a> {
    fn new(page: &'a TaskPage, limit: u32, offset: i64) -> Self {
        let shown = i64::try_from(page.tasks.len()).unwrap_or(i64::MAX);
        let pagination = Pagination {
            total: page.total,
            limit,
            offset,
            has_more: offset.saturating_add(shown) < page.total,
        };
        Self {
            tasks: &page.tasks,
            pagination,
        }
    }
}

/// `{KIND: thing}`.
fn wrapped<T: Serialize>(kind: &str, thing: &T) -> serde_json::Result<Vec<u8>> {
    let mut body = format!("{{\"{kind}\":").into_bytes();
    serde_json::to_writer(&mut body, thing)?;
    body.push(b'}');
    Ok(body)
}

fn one<T: Serialize>(status: StatusCode, kind: &str, thing: &T) -> HandlerResult {
    Ok(Response::json(status, wrapped(kind, thing)?))
}

fn deleted(there_was_one: bool, kind: &'static str) -> HandlerResult {
    match (there_was_one, kind) {
        (true, _) => Ok(Response::new(StatusCode::NO_CONTENT)),
        (false, "user") => Err(Problem::NotFound("such user")),
        (false, _) => Err(Problem::NotFound("such session")),
    }
}

#[cfg(test)]
mod tests;
