//! Routing: resources by path, calls by method.

use matchit::Router;

use super::problem::Problem;

const PREFIX: &str = "/api/v1/eventstreammonitor";

/// The resource that a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resource {
    Health,
    Ready,
    Tasks,
    Task,
    TaskCancel,
    Users,
    User,
    Sessions,
    Session,
}

/// A call of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    Health,
    Ready,
    /// `OPTIONS`: the methods of a resource.
    Options(&'static str),
    CreateTask,
    ListTasks,
    ShowTask(i64),
    CancelTask(i64),
    CreateUser,
    ShowUser(i64),
    ChangeUser(i64),
    DeleteUser(i64),
    CreateSession,
    ShowSession(String),
    RefreshSession(String),
    DeleteSession(String),
}

/// Paths to resources.
#[derive(Debug)]
pub(crate) struct Routes(Router<Resource>);

impl Resource {
    /// The methods it has, as the `Allow` field lists them (RFC 9110 section 10.2.1).
    fn allow(self) -> &'static str {
        match self {
            Self::Health | Self::Ready => "GET, HEAD, OPTIONS",
            Self::Tasks => "GET, HEAD, OPTIONS, POST",
            Self::Task => "GET, HEAD, OPTIONS",
            Self::TaskCancel => "OPTIONS, PUT",
            Self::Users | Self::Sessions => "OPTIONS, POST",
            Self::User | Self::Session => "DELETE, GET, HEAD, OPTIONS, PUT",
        }
    }
}

impl Routes {
    pub(crate) fn new() -> Result<Self, matchit::InsertError> {
        let mut router = Router::new();
        router.insert("/health", Resource::Health)?;
        router.insert("/ready", Resource::Ready)?;
        for (path, resource) in [
            ("/tasks", Resource::Tasks),
            ("/tasks/{id}", Resource::Task),
            ("/tasks/{id}/cancel", Resource::TaskCancel),
            ("/users", Resource::Users),
            ("/users/{id}", Resource::User),
            ("/sessions", Resource::Sessions),
            ("/sessions/{id}", Resource::Session),
        ] {
            router.insert(format!("{PREFIX}{path}"), resource)?;
        }
        Ok(Self(router))
    }

    pub(crate) fn find(&self, method: &str, path: &str) -> Result<Call, Problem> {
        const NOTHING: Problem = Problem::NotFound("such resource");
        let found = self.0.at(path).map_err(|_| NOTHING)?;
        let resource = *found.value;
        let text = found.params.get("id").unwrap_or_default();
        let number = || number(text).ok_or(NOTHING);
        let method = if method == "HEAD" { "GET" } else { method };
        Ok(match (resource, method) {
            (_, "OPTIONS") => Call::Options(resource.allow()),
            (Resource::Health, "GET") => Call::Health,
            (Resource::Ready, "GET") => Call::Ready,
            (Resource::Tasks, "GET") => Call::ListTasks,
            (Resource::Tasks, "POST") => Call::CreateTask,
            (Resource::Task, "GET") => Call::ShowTask(number()?),
            (Resource::TaskCancel, "PUT") => Call::CancelTask(number()?),
            (Resource::Users, "POST") => Call::CreateUser,
            (Resource::User, "GET") => Call::ShowUser(number()?),
            (Resource::User, "PUT") => Call::ChangeUser(number()?),
            (Resource::User, "DELETE") => Call::DeleteUser(number()?),
            (Resource::Sessions, "POST") => Call::CreateSession,
            (Resource::Session, "GET") => Call::ShowSession(text.to_owned()),
            (Resource::Session, "PUT") => Call::RefreshSession(text.to_owned()),
            (Resource::Session, "DELETE") => Call::DeleteSession(text.to_owned()),
            _ => {
                return Err(Problem::MethodNotAllowed {
                    allow: resource.allow(),
                });
            }
        })
    }
}

/// A number as a path spells it: digits only, so that each resource has one path.
fn number(text: &str) -> Option<i64> {
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    canonical.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_has_its_method_and_path() {
        let routes = Routes::new().expect("distinct paths");
        let find = |method, path: &str| {
            let found = routes.find(method, &format!("{PREFIX}{path}"));
            found.map_err(|problem| problem.into_response("GET", "/").status.as_u16())
        };
        assert_eq!(find("GET", "/tasks"), Ok(Call::ListTasks));
        assert_eq!(find("HEAD", "/tasks/1000"), Ok(Call::ShowTask(1000)));
        assert_eq!(
            find("PUT", "/tasks/1000/cancel"),
            Ok(Call::CancelTask(1000))
        );
        assert_eq!(
            find("PUT", "/sessions/ab"),
            Ok(Call::RefreshSession("ab".to_owned()))
        );
        assert_eq!(find("DELETE", "/tasks"), Err(405));
        for nothing in [
            "",
            "/",
            "/tasks/",
            "/tasks/x",
            "/tasks/01",
            "/tasks/-1",
            "/tasks/1/2",
        ] {
            assert_eq!(find("GET", nothing), Err(404), "{nothing}");
        }
        assert_eq!(routes.find("GET", "/ready").ok(), Some(Call::Ready));
        assert_eq!(routes.find("GET", "/health").ok(), Some(Call::Health));
    }
}
