// Server answers for the real gorilla/sessions: each line of its input is a request in JSON, each line
// of its output the answer. "decode" tells what a cookie holds, as typed JSON; "encode" writes a cookie
// of a payload; "sample" makes up a session and seals it; "visit" sends a cookie through an HTTP handler
// on a CookieStore, which does some steps with the session and saves it; "time" tells how long it takes
// to decode a cookie, or to change the session too and to encode it.
package main

import (
	"bufio"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"math"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/gorilla/securecookie"
	"github.com/gorilla/sessions"
)

type object = map[string]interface{}

type user struct {
	ID    int
	Name  string
	Tags  []string
	Since time.Time
}

type key int

type place struct {
	Row int
	Col interface{}
}

func init() {
	gob.Register(&user{})
	gob.Register(key(0))
	gob.Register(place{})
	gob.Register([2]int{})
	gob.Register(time.Time{})
	gob.Register(map[string]interface{}{})
	gob.Register(map[interface{}]interface{}{})
	gob.Register(map[int]string{})
}

type pair struct {
	Hash  string
	Block *string
}

type request struct {
	Op         string
	Name       string
	Pairs      []pair
	Hash       string
	MaxAge     int
	Serializer string
	Cookie     string
	Payload    string
	Seed       int64
	Steps      [][]string
	Number     int
	Change     bool
}

var hashes = map[string]func() hash.Hash{
	"sha512":     sha512.New,
	"sha512_256": sha512.New512_256,
	"sha1":       sha1.New,
}

var serializers = map[string]securecookie.Serializer{
	"json": securecookie.JSONEncoder{},
	"nop":  securecookie.NopEncoder{},
}

func main() {
	input := bufio.NewReader(os.Stdin)
	output := json.NewEncoder(os.Stdout)
	for {
		line, err := input.ReadBytes('\n')
		if err != nil {
			return
		}
		if err := output.Encode(answer(line)); err != nil {
			panic(err)
		}
	}
}

func answer(line []byte) (out object) {
	defer func() {
		if reason := recover(); reason != nil {
			out = object{"panic": fmt.Sprint(reason)}
		}
	}()
	var req request
	out, err := object(nil), json.Unmarshal(line, &req)
	if err == nil {
		out, err = serve(req)
	}
	if err != nil {
		return object{"error": err.Error()}
	}
	return out
}

func serve(req request) (object, error) {
	keys := [][]byte{}
	for _, p := range req.Pairs {
		hashKey, err := hex.DecodeString(p.Hash)
		if err != nil {
			return nil, err
		}
		var blockKey []byte
		if p.Block != nil {
			if blockKey, err = hex.DecodeString(*p.Block); err != nil {
				return nil, err
			}
		}
		keys = append(keys, hashKey, blockKey)
	}
	store := sessions.NewCookieStore(keys...)
	for _, codec := range store.Codecs {
		cookie := codec.(*securecookie.SecureCookie)
		if function := hashes[req.Hash]; function != nil {
			cookie.HashFunc(function)
		}
		if serializer := serializers[req.Serializer]; serializer != nil {
			cookie.SetSerializer(serializer)
		}
		if req.MaxAge != 0 {
			cookie.MaxAge(req.MaxAge)
		}
	}
	switch req.Op {
	case "decode":
		return decode(store, req)
	case "encode":
		payload, err := hex.DecodeString(req.Payload)
		if err != nil {
			return nil, err
		}
		cookie, err := securecookie.EncodeMulti(req.Name, payload, store.Codecs...)
		return object{"cookie": cookie}, err
	case "sample":
		return seal(store, req, sample(req.Seed))
	case "visit":
		return visit(store, req)
	case "time":
		return measure(store, req)
	}
	return nil, fmt.Errorf("no such request: %q", req.Op)
}

func decode(store *sessions.CookieStore, req request) (object, error) {
	switch req.Serializer {
	case "nop":
		var payload []byte
		err := securecookie.DecodeMulti(req.Name, req.Cookie, &payload, store.Codecs...)
		return object{"payload": hex.EncodeToString(payload)}, err
	case "json":
		var value interface{}
		err := securecookie.DecodeMulti(req.Name, req.Cookie, &value, store.Codecs...)
		return object{"value": value}, err
	}
	values := map[interface{}]interface{}{}
	if err := securecookie.DecodeMulti(req.Name, req.Cookie, &values, store.Codecs...); err != nil {
		return nil, err
	}
	return object{"values": describe(values)}, nil
}

func seal(store *sessions.CookieStore, req request, values map[interface{}]interface{}) (object, error) {
	cookie, err := securecookie.EncodeMulti(req.Name, values, store.Codecs...)
	if err != nil {
		return nil, err
	}
	req.Cookie = cookie
	out, err := decode(store, req)
	if err == nil {
		out["cookie"] = cookie
	}
	return out, err
}

// measure opens a cookie so many times, and makes another one of it if asked to.
func measure(store *sessions.CookieStore, req request) (object, error) {
	start := time.Now()
	for n := 0; n < req.Number; n++ {
		values := map[interface{}]interface{}{}
		err := securecookie.DecodeMulti(req.Name, req.Cookie, &values, store.Codecs...)
		if err == nil && req.Change {
			values["visits"] = n
			_, err = securecookie.EncodeMulti(req.Name, values, store.Codecs...)
		}
		if err != nil {
			return nil, err
		}
	}
	return object{"nanoseconds": time.Since(start).Nanoseconds()}, nil
}

// visit runs the steps in a handler, as a browser with that cookie would.
func visit(store *sessions.CookieStore, req request) (object, error) {
	var results []interface{}
	var failure error
	handler := func(w http.ResponseWriter, r *http.Request) {
		session, err := store.Get(r, req.Name)
		if err != nil {
			failure = err
			return
		}
		for _, step := range req.Steps {
			results = append(results, do(session, step))
		}
		failure = session.Save(r, w)
	}
	r := httptest.NewRequest("GET", "/", nil)
	if req.Cookie != "" {
		r.Header.Set("Cookie", req.Name+"="+req.Cookie)
	}
	recorder := httptest.NewRecorder()
	handler(recorder, r)
	if failure != nil {
		return nil, failure
	}
	cookie := recorder.Result().Cookies()[0]
	return object{"cookie": cookie.Value, "results": results}, nil
}

func do(session *sessions.Session, step []string) interface{} {
	switch step[0] {
	case "put":
		session.Values[step[1]] = step[2]
	case "pop":
		value := session.Values[step[1]]
		delete(session.Values, step[1])
		return describe(value)
	case "flash":
		session.AddFlash(step[1], step[2:]...)
	case "flashes":
		return describe(session.Flashes(step[1:]...))
	default:
		panic("no such step: " + step[0])
	}
	return nil
}

func sample(seed int64) map[interface{}]interface{} {
	random := rand.New(rand.NewSource(seed))
	values := map[interface{}]interface{}{}
	for n := random.Intn(9); n > 0; n-- {
		values[pick(random, sampleKeys(random))] = pick(random, sampleValues(random))
	}
	if random.Intn(3) == 0 {
		values["_flash"] = []interface{}{pick(random, sampleValues(random)), "flash"}
	}
	return values
}

func pick(random *rand.Rand, pool []interface{}) interface{} {
	return pool[random.Intn(len(pool))]
}

func sampleKeys(random *rand.Rand) []interface{} {
	number := random.Intn(5)
	return []interface{}{
		"user", "name", "ključ", "1", "true", "\xff\x00", fmt.Sprint("key", number),
		number, int8(number), int64(number), uint16(number), float64(number), float32(number),
		number == 1, complex(float64(number), 0), key(number), nil,
		place{number, "x"}, place{0, key(1)}, [2]int{number, 1}, time.Unix(int64(number), 0).UTC(),
	}
}

func sampleValues(random *rand.Rand) []interface{} {
	number := random.Int63() >> random.Intn(63)
	when := time.Unix(random.Int63n(1<<35), random.Int63n(1e9)).UTC()
	someone := user{int(number), "Ann", []string{"a", "b"}, when}
	return []interface{}{
		int(number), -int(number), int8(number), int64(number), uint32(number), uint64(number),
		float64(number) / 7, float32(number) / 7, math.Inf(1), number&1 == 0, nil, complex64(1 + 2i),
		"", "text", "č☃", "\xfe", []byte{0, 255}, []string{"a", "b"}, []int{1, int(number)},
		[]interface{}{"a", 1, nil, true}, map[string]interface{}{"a": number, "b": []string{"c"}},
		map[interface{}]interface{}{1: "int", "1": "string", true: key(2)}, map[int]string{1: "a"},
		when, someone, &someone, place{1, int8(2)}, key(7), [2]int{1, 2},
	}
}
