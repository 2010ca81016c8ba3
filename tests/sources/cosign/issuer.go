// An OpenID issuer for one machine: whoever asks /token gets what they ask for.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"maps"
	"net/http"
	"time"
)

var b64 = base64.RawURLEncoding

func main() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	point, _ := key.PublicKey.Bytes()
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(v)
	}
	for _, path := range []string{"", "/ci"} {
		issuer := "http://localhost:5556" + path
		http.HandleFunc("GET "+path+"/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
			answer(w, map[string]any{
				"issuer": issuer, "jwks_uri": issuer + "/keys",
				"authorization_endpoint": issuer + "/auth", "token_endpoint": issuer + "/token",
				"response_types_supported":              []string{"code"},
				"subject_types_supported":               []string{"public"},
				"id_token_signing_alg_values_supported": []string{"ES256"},
			})
		})
		http.HandleFunc("GET "+path+"/keys", func(w http.ResponseWriter, r *http.Request) {
			answer(w, map[string]any{"keys": []any{map[string]any{
				"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "1",
				"x": b64.EncodeToString(point[1:33]), "y": b64.EncodeToString(point[33:]),
			}}})
		})
		http.HandleFunc("POST "+path+"/token", func(w http.ResponseWriter, r *http.Request) {
			claims := map[string]any{
				"iss": issuer, "aud": "sigstore",
				"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
			}
			var more map[string]any
			if err := json.NewDecoder(r.Body).Decode(&more); err != nil {
				http.Error(w, err.Error(), 400)
				return
			}
			maps.Copy(claims, more)
			head, _ := json.Marshal(map[string]string{"alg": "ES256", "kid": "1", "typ": "JWT"})
			body, _ := json.Marshal(claims)
			text := b64.EncodeToString(head) + "." + b64.EncodeToString(body)
			sum := sha256.Sum256([]byte(text))
			r2, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
			if err != nil {
				http.Error(w, err.Error(), 500)
				return
			}
			sig := make([]byte, 64)
			r2.FillBytes(sig[:32])
			s.FillBytes(sig[32:])
			io.WriteString(w, text+"."+b64.EncodeToString(sig))
		})
	}
	log.Fatal(http.ListenAndServe("localhost:5556", nil))
}
