"""How Dify answers: routes, logins, parameters and refusals of each release, behind a socket."""
