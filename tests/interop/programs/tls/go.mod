module tls

go 1.25.0
