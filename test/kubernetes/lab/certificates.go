package lab

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// validity of every certificate, on both sides of now: longer than any test.
const validity = 24 * time.Hour

// authority signs every certificate of a cluster, those of servers and those of
// clients. Its files are ca.crt and ca.key.
type authority struct {
	dir         string
	key         crypto.Signer
	certificate *x509.Certificate
}

func newAuthority(dir string) (*authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a certificate authority: %w", err)
	}
	a := &authority{dir: dir}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "lab"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	key, der, err := a.sign(template)
	if err == nil {
		a.key = key
		a.certificate, err = x509.ParseCertificate(der)
	}
	if err == nil {
		err = writeKeyPair(a.path("ca"), key, der)
	}
	if err != nil {
		return nil, fmt.Errorf("make a certificate authority: %w", err)
	}
	return a, nil
}

// path returns that of a file of a certificate, without its extension.
func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

// sign makes a key and has a certificate for it; the first one signs itself.
func (a *authority) sign(template *x509.Certificate) (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-validity), time.Now().Add(validity)
	parent, signer := a.certificate, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	return key, der, err
}

// server writes NAME.crt and NAME.key for a server that is reached by hosts, names
// or addresses.
func (a *authority) server(name string, hosts ...string) error {
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	key, der, err := a.sign(template)
	if err == nil {
		err = writeKeyPair(a.path(name), key, der)
	}
	if err != nil {
		return fmt.Errorf("make the certificate of %s: %w", name, err)
	}
	return nil
}

// client writes FILE.crt and FILE.key for somebody whom Kubernetes knows by this
// name, as a member of groups.
func (a *authority) client(file, user string, groups ...string) error {
	key, der, err := a.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err == nil {
		err = writeKeyPair(a.path(file), key, der)
	}
	if err != nil {
		return fmt.Errorf("make the certificate of %s: %w", user, err)
	}
	return nil
}

// kubeconfig writes what a client needs to reach the API server at URL as
// somebody, and returns the path of the file.
func (a *authority) kubeconfig(file, url, user string, groups ...string) (string, error) {
	if err := a.client(file, user, groups...); err != nil {
		return "", err
	}
	config := api.NewConfig()
	config.Clusters["lab"] = &api.Cluster{Server: url, CertificateAuthority: a.path("ca.crt")}
	config.AuthInfos[user] = &api.AuthInfo{ClientCertificate: a.path(file + ".crt"), ClientKey: a.path(file + ".key")}
	config.Contexts["lab"] = &api.Context{Cluster: "lab", AuthInfo: user}
	config.CurrentContext = "lab"
	path := a.path(file + ".kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return "", fmt.Errorf("write the kubeconfig of %s: %w", user, err)
	}
	return path, nil
}

func writeKeyPair(path string, key *ecdsa.PrivateKey, certificate []byte) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := writePEM(path+".key", "PRIVATE KEY", der); err != nil {
		return err
	}
	return writePEM(path+".crt", "CERTIFICATE", certificate)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
