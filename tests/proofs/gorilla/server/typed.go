package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"sort"
	"strconv"
	"time"
	"unicode/utf8"
)

// describe returns a value as typed JSON, in the form of the vectors of scs.
func describe(value interface{}) object {
	return describeValue(reflect.ValueOf(value))
}

func describeValue(v reflect.Value) object {
	if v.IsValid() && v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if !v.IsValid() {
		return object{"type": "nil"}
	}
	out := object{"type": v.Type().String()}
	if moment, ok := v.Interface().(time.Time); ok {
		out["value"] = moment.Format(time.RFC3339Nano)
		return out
	}
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
		if text := v.String(); utf8.ValidString(text) {
			out["value"] = text
		} else {
			out["hex"] = hex.EncodeToString([]byte(text))
		}
	case reflect.Pointer:
		out["elem"] = describeValue(v.Elem())
	case reflect.Struct:
		fields := []object{}
		for i := 0; i < v.NumField(); i++ {
			field := object{"name": v.Type().Field(i).Name, "value": describeValue(v.Field(i))}
			fields = append(fields, field)
		}
		out["fields"] = fields
	case reflect.Map:
		out["entries"] = entries(v)
	case reflect.Slice, reflect.Array:
		describeList(v, out)
	default:
		panic("no description for " + v.Type().String())
	}
	return out
}

func describeFloat(f float64, bits int, out object) {
	out["value"] = strconv.FormatFloat(f, 'g', -1, bits)
	out["bits"] = fmt.Sprintf("%016x", math.Float64bits(f))
}

func entries(v reflect.Value) []object {
	found := []object{}
	for _, key := range v.MapKeys() {
		entry := object{"key": describeValue(key), "value": describeValue(v.MapIndex(key))}
		found = append(found, entry)
	}
	sort.Slice(found, func(i, j int) bool { return sortKey(found[i]) < sortKey(found[j]) })
	return found
}

func sortKey(entry object) string {
	text, err := json.Marshal(entry["key"])
	if err != nil {
		panic(err)
	}
	return string(text)
}

func describeList(v reflect.Value, out object) {
	if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
		out["hex"] = hex.EncodeToString(v.Bytes())
		return
	}
	elems := []object{}
	for i := 0; i < v.Len(); i++ {
		elems = append(elems, describeValue(v.Index(i)))
	}
	out["elems"] = elems
}
