// The scs side of the benchmark: the real scs and its stores, measured in this process.
//
// Reads one request a line from standard input and answers each with one line, both JSON. The
// benchmark decides when which batch runs, so that this process takes its turn like any engine.
package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/alexedwards/scs/goredisstore"
	"github.com/alexedwards/scs/mysqlstore"
	"github.com/alexedwards/scs/pgxstore"
	"github.com/alexedwards/scs/sqlite3store"
	"github.com/alexedwards/scs/v2"
	_ "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/mattn/go-sqlite3"
	"github.com/redis/go-redis/v9"
)

const idleTimeout = 20 * time.Minute

// stores opens a store on one warm connection, as the other engines have.
var stores = map[string]func(dsn string) scs.Store{
	"mysql": func(dsn string) scs.Store {
		return mysqlstore.NewWithCleanupInterval(open("mysql", dsn), 0)
	},
	"postgresql": func(dsn string) scs.Store {
		pool, err := pgxpool.New(context.Background(), dsn)
		check(err)
		return pgxstore.NewWithCleanupInterval(pool, 0)
	},
	"redis": func(dsn string) scs.Store {
		options, err := redis.ParseURL(dsn)
		check(err)
		return inBackground{goredisstore.New(redis.NewClient(options))}
	},
	"sqlite": func(dsn string) scs.Store {
		return sqlite3store.NewWithCleanupInterval(open("sqlite3", dsn), 0)
	},
}

func open(driver, dsn string) *sql.DB {
	db, err := sql.Open(driver, dsn)
	check(err)
	db.SetMaxOpenConns(1)
	return db
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// inBackground gives the methods without a context to a store that has the others alone.
type inBackground struct {
	*goredisstore.RedisStore
}

func (s inBackground) Find(token string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), token)
}

func (s inBackground) Commit(token string, b []byte, expiry time.Time) error {
	return s.CommitCtx(context.Background(), token, b, expiry)
}

func (s inBackground) Delete(token string) error {
	return s.DeleteCtx(context.Background(), token)
}

// counting counts the statements: each method of the stores sends one.
type counting struct {
	scs.Store
	statements int
}

func (c *counting) Find(token string) ([]byte, bool, error) {
	c.statements++
	return c.Store.Find(token)
}

func (c *counting) Commit(token string, b []byte, expiry time.Time) error {
	c.statements++
	return c.Store.Commit(token, b, expiry)
}

func (c *counting) Delete(token string) error {
	c.statements++
	return c.Store.Delete(token)
}

// table is one database with a sessions table, and the sessions in it that the batches work on.
type table struct {
	store   *counting
	manager *scs.SessionManager
	values  map[string]string
	pool    []string
	next    int
}

type request struct {
	Op     string            `json:"op"`
	Table  int               `json:"table"`
	Number int               `json:"number"`
	Values map[string]string `json:"values"`
}

type answer struct {
	Nanoseconds []int64 `json:"nanoseconds"`
	Statements  int     `json:"statements"`
	Version     string  `json:"version,omitempty"`
}

// operations are given the token of a stored session and return that of a new one, if any.
var operations = map[string]func(t *table, token string, n int) string{
	"anonymous": func(t *table, _ string, _ int) string {
		t.manager.GetInt(t.load(""), "counter")
		return ""
	},
	"read": func(t *table, token string, _ int) string {
		t.manager.GetInt(t.load(token), "counter")
		return ""
	},
	"change": func(t *table, token string, n int) string {
		ctx := t.load(token)
		t.manager.Put(ctx, "counter", n)
		t.commit(ctx)
		return ""
	},
	"create": func(t *table, _ string, _ int) string { return t.create() },
	"flash": func(t *table, token string, _ int) string {
		ctx := t.load(token)
		t.manager.Put(ctx, "flash", "Snippet successfully created!")
		t.commit(ctx)
		ctx = t.load(token)
		if t.manager.PopString(ctx, "flash") == "" {
			log.Fatal("the flash is gone")
		}
		t.commit(ctx)
		return ""
	},
	"login": func(t *table, token string, _ int) string {
		ctx := t.load(token)
		check(t.manager.RenewToken(ctx))
		t.manager.Put(ctx, "authenticatedUserID", 1)
		return t.commit(ctx)
	},
	"idle":     (*table).idle,
	"idle_due": (*table).idle,
}

func (t *table) load(token string) context.Context {
	ctx, err := t.manager.Load(context.Background(), token)
	check(err)
	if token != "" && t.manager.Token(ctx) == "" {
		log.Fatal("no session ", token)
	}
	return ctx
}

func (t *table) commit(ctx context.Context) string {
	token, _, err := t.manager.Commit(ctx)
	check(err)
	return token
}

func (t *table) create() string {
	ctx := t.load("")
	for key, value := range t.values {
		t.manager.Put(ctx, key, value)
	}
	t.manager.Put(ctx, "counter", 0)
	return t.commit(ctx)
}

// idle does what LoadAndSave does under an idle timeout, for Load marks the session as modified.
func (t *table) idle(token string, _ int) string {
	ctx := t.load(token)
	t.manager.GetInt(ctx, "counter")
	t.commit(ctx)
	return ""
}

func (t *table) remove(tokens []string) {
	for _, token := range tokens {
		check(t.store.Delete(token))
	}
}

// fill replaces the sessions that the batches work on by some with the given values.
func (t *table) fill(number int, values map[string]string) {
	t.remove(t.pool)
	t.pool, t.values = nil, values
	for len(t.pool) < number {
		t.pool = append(t.pool, t.create())
	}
}

func (t *table) measure(op string, number int) answer {
	t.manager.IdleTimeout = 0
	if strings.HasPrefix(op, "idle") {
		t.manager.IdleTimeout = idleTimeout
	}
	var result answer
	var created []string
	for n := 0; n < number; n++ {
		t.next++
		token := t.pool[t.next%len(t.pool)]
		if op == "login" {
			token = t.create()
		}
		t.store.statements = 0
		start := time.Now()
		made := operations[op](t, token, t.next*1000+n)
		result.Nanoseconds = append(result.Nanoseconds, time.Since(start).Nanoseconds())
		result.Statements = t.store.statements
		if made != "" {
			created = append(created, made)
		}
	}
	t.remove(created)
	return result
}

func newTable(store scs.Store) *table {
	counted := &counting{Store: store}
	manager := scs.New()
	manager.Store = counted
	return &table{store: counted, manager: manager}
}

func version() string {
	text := runtime.Version()
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == "github.com/alexedwards/scs/v2" {
			text = fmt.Sprintf("scs %s, %s", module.Version, text)
		}
	}
	return text
}

func main() {
	log.SetFlags(0)
	var tables []*table
	for _, dsn := range os.Args[2:] {
		tables = append(tables, newTable(stores[os.Args[1]](dsn)))
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	answers := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var wanted request
		check(json.Unmarshal(lines.Bytes(), &wanted))
		var result answer
		switch wanted.Op {
		case "version":
			result.Version = version()
		case "fill":
			tables[wanted.Table].fill(wanted.Number, wanted.Values)
		default:
			result = tables[wanted.Table].measure(wanted.Op, wanted.Number)
		}
		check(answers.Encode(result))
	}
}
