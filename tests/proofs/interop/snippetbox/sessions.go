package main

import (
	"encoding/gob"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"
)

func newSessionManager(store scs.Store) *scs.SessionManager {
	gob.Register(time.Time{})
	gob.Register(map[string]interface{}{})
	gob.Register([]interface{}{})

	sessionManager := scs.New()
	sessionManager.Store = store
	sessionManager.Lifetime = 12 * time.Hour
	sessionManager.IdleTimeout = 20 * time.Minute
	sessionManager.HashTokenInStore = true
	sessionManager.Cookie.Name = "session"
	sessionManager.Cookie.Domain = ""
	sessionManager.Cookie.Path = "/"
	sessionManager.Cookie.HttpOnly = true
	sessionManager.Cookie.SameSite = http.SameSiteLaxMode
	sessionManager.Cookie.Secure = true
	sessionManager.Cookie.Persist = false
	return sessionManager
}
