// Reverse answers for the real scs: each line of its input is a request in JSON, each line of its
// output the answer. {"decode": "<hex>"} tells what scs's GobCodec reads in a blob, as typed JSON, and
// how it writes that again; {"sample": n} makes up a session and tells the same of that.
package main

import (
	"bufio"
	"encoding"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/rand"
	"os"
	"reflect"
	"sort"
	"strconv"
	"time"
	"unicode/utf8"

	"example.com/shop/models"
	"github.com/alexedwards/scs/v2"
)

type object = map[string]interface{}

type request struct {
	Decode *string
	Sample int64
}

func main() {
	input := bufio.NewReader(os.Stdin)
	output := json.NewEncoder(os.Stdout)
	for {
		line, err := input.ReadBytes('\n')
		if err != nil {
			return
		}
		answer, err := serve(line)
		if err != nil {
			answer = object{"error": err.Error()}
		}
		if err := output.Encode(answer); err != nil {
			panic(err)
		}
	}
}

func serve(line []byte) (answer object, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v", cause)
		}
	}()
	var req request
	if err := json.Unmarshal(line, &req); err != nil {
		return nil, err
	}
	codec := scs.GobCodec{}
	if req.Decode == nil {
		blob, err := codec.Encode(sample(req.Sample))
		if err != nil {
			return nil, err
		}
		return read(codec, blob)
	}
	blob, err := hex.DecodeString(*req.Decode)
	if err != nil {
		return nil, err
	}
	return read(codec, blob)
}

func read(codec scs.GobCodec, blob []byte) (object, error) {
	deadline, values, err := codec.Decode(blob)
	if err != nil {
		return nil, err
	}
	answer := object{"blob_hex": hex.EncodeToString(blob), "deadline_hex": marshal(deadline), "values": nil}
	if values != nil {
		described := object{}
		for key, value := range values {
			described[jsonKey(key)] = describe(reflect.ValueOf(value))
		}
		answer["values"] = described
	}
	if again, err := codec.Encode(deadline, values); err == nil {
		answer["again_hex"] = hex.EncodeToString(again)
	}
	return answer, nil
}

func sample(seed int64) (time.Time, map[string]interface{}) {
	random := rand.New(rand.NewSource(seed))
	pool := models.Samples()
	values := map[string]interface{}{}
	for n := random.Intn(8); n >= 0; n-- {
		values[fmt.Sprintf("key%d", n)] = pool[random.Intn(len(pool))]
	}
	return time.Unix(random.Int63n(1<<35), random.Int63n(1e9)).UTC(), values
}

func jsonKey(key string) string {
	if utf8.ValidString(key) {
		return key
	}
	return "\x00hex:" + hex.EncodeToString([]byte(key))
}

func marshal(v encoding.BinaryMarshaler) string {
	data, err := v.MarshalBinary()
	if err != nil {
		return "error: " + err.Error()
	}
	return hex.EncodeToString(data)
}

func describe(v reflect.Value) object {
	if v.IsValid() && v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if !v.IsValid() {
		return object{"type": "nil"}
	}
	out := object{"type": v.Type().String()}
	if v.CanInterface() && describeEncoded(v, out) {
		return out
	}
	if v.Type().PkgPath() != "" {
		out["kind"], out["pkg_path"] = v.Kind().String(), v.Type().PkgPath()
	}
	describeKind(v, out)
	return out
}

// describeEncoded describes values that gob does not look into.
func describeEncoded(v reflect.Value, out object) bool {
	if t, ok := v.Interface().(time.Time); ok {
		out["value"], out["marshal_hex"] = t.Format(time.RFC3339Nano), marshal(t)
		if t.Location() != time.UTC {
			_, out["offset_seconds"] = t.Zone()
		}
		return true
	}
	if v.Kind() == reflect.Pointer && (v.IsNil() || v.Type().Elem() == reflect.TypeOf(time.Time{})) {
		return false
	}
	var data []byte
	var err error
	switch e := v.Interface().(type) {
	case gob.GobEncoder:
		out["encoder"] = "GobEncoder"
		data, err = e.GobEncode()
	case encoding.BinaryMarshaler:
		out["encoder"] = "BinaryMarshaler"
		data, err = e.MarshalBinary()
	default:
		return false
	}
	if err != nil {
		panic(err)
	}
	out["hex"] = hex.EncodeToString(data)
	if v.Kind() == reflect.Pointer {
		out["pointer"] = true
	}
	return true
}

func describeKind(v reflect.Value, out object) {
	switch v.Kind() {
	case reflect.Bool:
		out["value"] = v.Bool()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		out["value"] = v.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		out["value"] = v.Uint()
	case reflect.Float32, reflect.Float64:
		describeFloat(v.Float(), v.Type().Bits(), out)
	case reflect.Complex64, reflect.Complex128:
		re, im := object{}, object{}
		describeFloat(real(v.Complex()), v.Type().Bits()/2, re)
		describeFloat(imag(v.Complex()), v.Type().Bits()/2, im)
		out["real"], out["imag"] = re, im
	case reflect.String:
		if s := v.String(); utf8.ValidString(s) {
			out["value"] = s
		} else {
			out["hex"] = hex.EncodeToString([]byte(s))
		}
	case reflect.Pointer:
		if v.IsNil() {
			out["nil"] = true
		} else {
			out["elem"] = describe(v.Elem())
		}
	case reflect.Struct:
		out["fields"] = fields(v)
	case reflect.Map:
		describeMap(v, out)
	case reflect.Slice, reflect.Array:
		describeList(v, out)
	default:
		panic("no description for " + v.Type().String())
	}
}

func describeFloat(f float64, bits int, out object) {
	out["value"] = strconv.FormatFloat(f, 'g', -1, bits)
	out["bits"] = fmt.Sprintf("%016x", math.Float64bits(f))
}

func fields(v reflect.Value) []object {
	found := []object{}
	for i := 0; i < v.NumField(); i++ {
		f := v.Type().Field(i)
		field := object{"name": f.Name, "static": f.Type.String(), "value": describe(v.Field(i))}
		if !f.IsExported() {
			field["unexported"] = true
		}
		if f.Anonymous {
			field["embedded"] = true
		}
		found = append(found, field)
	}
	return found
}

func describeMap(v reflect.Value, out object) {
	if v.IsNil() {
		out["nil"] = true
		return
	}
	entries := []object{}
	for _, key := range v.MapKeys() {
		entries = append(entries, object{"key": describe(key), "value": describe(v.MapIndex(key))})
	}
	sort.Slice(entries, func(i, j int) bool { return sortKey(entries[i]) < sortKey(entries[j]) })
	out["entries"] = entries
}

func sortKey(entry object) string {
	text, err := json.Marshal(entry["key"])
	if err != nil {
		panic(err)
	}
	return string(text)
}

func describeList(v reflect.Value, out object) {
	if v.Kind() == reflect.Slice && v.IsNil() {
		out["nil"] = true
		return
	}
	if v.Type() == reflect.TypeOf([]byte(nil)) {
		out["hex"] = hex.EncodeToString(v.Bytes())
		return
	}
	elems := []object{}
	for i := 0; i < v.Len(); i++ {
		elems = append(elems, describe(v.Index(i)))
	}
	out["elems"] = elems
}
