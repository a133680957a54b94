// Snippetbox is what is left of that application when only its sessions matter. The tests run it beside
// a Django site that answers the same requests, on the same sessions.
//
// Each request is GET /<action>?<parameters>; the answer is JSON. The database is what DSN names.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"sort"
	"strconv"
	"sync"
	"time"

	"example.com/snippetbox/jsoncodec"
	"github.com/alexedwards/scs/mysqlstore"
	"github.com/alexedwards/scs/pgxstore"
	"github.com/alexedwards/scs/sqlite3store"
	"github.com/alexedwards/scs/v2"
	_ "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/mattn/go-sqlite3"
)

var (
	vendor   = flag.String("vendor", "", "mysql, postgresql or sqlite")
	lifetime = flag.Duration("lifetime", 12*time.Hour, "scs's Lifetime")
	idle     = flag.Duration("idle", 0, "scs's IdleTimeout")
	hashed   = flag.Bool("hash", false, "scs's HashTokenInStore")
	persist  = flag.Bool("persist", true, "scs's Cookie.Persist")
	asJSON   = flag.Bool("json", false, "use the JSON codec in place of gob")
	int64ID  = flag.Bool("int64", false, "keep the id of the user as an int64")
)

func main() {
	flag.Parse()
	store, err := open(*vendor, os.Getenv("DSN"))
	if err != nil {
		log.Fatal(err)
	}
	sessions := newSessionManager(store)
	sessions.Lifetime = *lifetime
	sessions.IdleTimeout = *idle
	sessions.HashTokenInStore = *hashed
	sessions.Cookie.Persist = *persist
	// The tests speak plain HTTP.
	sessions.Cookie.Secure = false
	if *asJSON {
		sessions.Codec = jsoncodec.Codec{}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, (&application{sessions: sessions}).routes()))
}

// open returns a store whose clean-up does not run while tests do.
func open(vendor, dsn string) (scs.Store, error) {
	if vendor == "postgresql" {
		pool, err := pgxpool.New(context.Background(), dsn)
		return pgxstore.NewWithCleanupInterval(pool, 0), err
	}
	db, err := sql.Open(map[string]string{"mysql": "mysql", "sqlite": "sqlite3"}[vendor], dsn)
	if err != nil {
		return nil, err
	}
	if vendor == "mysql" {
		return mysqlstore.NewWithCleanupInterval(db, 0), nil
	}
	return sqlite3store.NewWithCleanupInterval(db, 0), nil
}

type application struct {
	sessions *scs.SessionManager
	gates    sync.Map
}

type action func(ctx context.Context, form url.Values) (any, error)

func (app *application) routes() http.Handler {
	mux := http.NewServeMux()
	for name, action := range map[string]action{
		"put": app.put, "get": app.get, "pop": app.pop, "flash": app.flash, "page": app.page,
		"login": app.login, "logout": app.logout, "account": app.account,
		"renew": app.renew, "destroy": app.destroy, "remember": app.remember,
		"deadline": app.deadline, "extend": app.extend, "hold": app.hold,
		"sessions": app.list, "fill": app.fill, "differences": app.differences, "values": app.values,
		"put-struct": app.putStruct,
	} {
		mux.Handle("/"+name, app.sessions.LoadAndSave(answer(action)))
	}
	// These two are about requests to /hold, and have no session.
	mux.Handle("/held", answer(app.held))
	mux.Handle("/release", answer(app.release))
	return mux
}

func answer(action action) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		result, err := action(r.Context(), r.URL.Query())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		body, err := json.Marshal(result)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(body)
	})
}

func (app *application) put(ctx context.Context, form url.Values) (any, error) {
	app.sessions.Put(ctx, form.Get("key"), form.Get("value"))
	return nil, nil
}

func (app *application) putStruct(ctx context.Context, form url.Values) (any, error) {
	app.sessions.Put(ctx, "cart", cart{})
	return nil, nil
}

func (app *application) get(ctx context.Context, form url.Values) (any, error) {
	return app.sessions.GetString(ctx, form.Get("key")), nil
}

func (app *application) pop(ctx context.Context, form url.Values) (any, error) {
	return app.sessions.PopString(ctx, form.Get("key")), nil
}

func (app *application) flash(ctx context.Context, form url.Values) (any, error) {
	app.sessions.Put(ctx, "flash", form.Get("message"))
	return nil, nil
}

// page shows the message that /flash has left.
func (app *application) page(ctx context.Context, form url.Values) (any, error) {
	return app.sessions.PopString(ctx, "flash"), nil
}

// values tells the Go type of each value, and shows it.
func (app *application) values(ctx context.Context, form url.Values) (any, error) {
	shown := map[string]string{}
	for _, key := range app.sessions.Keys(ctx) {
		value := app.sessions.Get(ctx, key)
		if moment, ok := value.(time.Time); ok {
			value = moment.Format(time.RFC3339Nano)
		}
		shown[key] = fmt.Sprintf("%T %v", app.sessions.Get(ctx, key), value)
	}
	return shown, nil
}

// login does what Snippetbox does once it has checked the password.
func (app *application) login(ctx context.Context, form url.Values) (any, error) {
	id, err := strconv.Atoi(form.Get("id"))
	if err != nil {
		return nil, err
	}
	if err := app.sessions.RenewToken(ctx); err != nil {
		return nil, err
	}
	if *int64ID {
		app.sessions.Put(ctx, "authenticatedUserID", int64(id))
	} else {
		app.sessions.Put(ctx, "authenticatedUserID", id)
	}
	return nil, nil
}

func (app *application) logout(ctx context.Context, form url.Values) (any, error) {
	if err := app.sessions.RenewToken(ctx); err != nil {
		return nil, err
	}
	app.sessions.Remove(ctx, "authenticatedUserID")
	return nil, nil
}

// account returns the id of the user, or 0 for nobody.
func (app *application) account(ctx context.Context, form url.Values) (any, error) {
	if *int64ID {
		return app.sessions.GetInt64(ctx, "authenticatedUserID"), nil
	}
	return app.sessions.GetInt(ctx, "authenticatedUserID"), nil
}

func (app *application) renew(ctx context.Context, form url.Values) (any, error) {
	return nil, app.sessions.RenewToken(ctx)
}

func (app *application) destroy(ctx context.Context, form url.Values) (any, error) {
	return nil, app.sessions.Destroy(ctx)
}

func (app *application) remember(ctx context.Context, form url.Values) (any, error) {
	app.sessions.RememberMe(ctx, form.Get("on") == "true")
	return nil, nil
}

// deadline returns it in microseconds since 1970.
func (app *application) deadline(ctx context.Context, form url.Values) (any, error) {
	return app.sessions.Deadline(ctx).UnixMicro(), nil
}

// extend sets the deadline to what /deadline returns from then on.
func (app *application) extend(ctx context.Context, form url.Values) (any, error) {
	microseconds, err := strconv.ParseInt(form.Get("to"), 10, 64)
	app.sessions.SetDeadline(ctx, time.UnixMicro(microseconds))
	return nil, err
}

// list returns what all sessions have under a key.
func (app *application) list(ctx context.Context, form url.Values) (any, error) {
	found := []string{}
	err := app.sessions.Iterate(context.Background(), func(ctx context.Context) error {
		found = append(found, app.sessions.GetString(ctx, form.Get("key")))
		return nil
	})
	sort.Strings(found)
	return found, err
}

// fill puts a value of every type into the session.
func (app *application) fill(ctx context.Context, form url.Values) (any, error) {
	values := everything(app.sessions.Codec)
	for key, value := range values {
		app.sessions.Put(ctx, key, value)
	}
	return len(values), nil
}

// differences names the keys under which the session has not what the codec makes of what fill put.
func (app *application) differences(ctx context.Context, form url.Values) (any, error) {
	blob, err := app.sessions.Codec.Encode(time.Now(), everything(app.sessions.Codec))
	if err != nil {
		return nil, err
	}
	_, wanted, err := app.sessions.Codec.Decode(blob)
	if err != nil {
		return nil, err
	}
	differences := []string{}
	for key, value := range wanted {
		if found := app.sessions.Get(ctx, key); !app.sessions.Exists(ctx, key) || !reflect.DeepEqual(found, value) {
			differences = append(differences, fmt.Sprintf("%s: %T %+v, not %T %+v", key, found, found, value, value))
		}
	}
	sort.Strings(differences)
	return differences, nil
}

type gate struct{ held, released chan struct{} }

func (app *application) gate(form url.Values) *gate {
	found, _ := app.gates.LoadOrStore(form.Get("gate"), &gate{make(chan struct{}), make(chan struct{})})
	return found.(*gate)
}

// hold is a slow request: it has loaded its session, and goes on when /release says so.
func (app *application) hold(ctx context.Context, form url.Values) (any, error) {
	gate := app.gate(form)
	close(gate.held)
	select {
	case <-gate.released:
	case <-time.After(time.Minute):
		return nil, errors.New("nobody has released this request")
	}
	if key := form.Get("key"); key != "" {
		app.sessions.Put(ctx, key, form.Get("value"))
	}
	return nil, nil
}

// held returns when a request to /hold has loaded its session.
func (app *application) held(ctx context.Context, form url.Values) (any, error) {
	<-app.gate(form).held
	return nil, nil
}

func (app *application) release(ctx context.Context, form url.Values) (any, error) {
	close(app.gate(form).released)
	return nil, nil
}
