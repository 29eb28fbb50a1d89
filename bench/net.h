/*
 * Calls of the machine for every program of the bench: a clock, a core to stay on, descriptors,
 * non-blocking sockets, TLS contexts. Used by the load generators, the bare programs and the
 * delaying proxy; runs with the bench's own privileges, on loopback only.
 */
#ifndef BENCH_NET_H
#define BENCH_NET_H

#include <netinet/in.h>
#include <stdint.h>
#include <openssl/ssl.h>

/* Monotonic nanoseconds; the processor time of this process, user + system. */
uint64_t net_now(void);
uint64_t net_cpu(void);

/* Prints a message and ends with status 2: the bench cannot go on. */
_Noreturn void net_die(const char *what);

/* Stay on one core; -1: anywhere. */
void net_pin(int core);
/* As many descriptors as the machine allows; SIGPIPE ignored. */
void net_prepare(void);
/* Enter the network namespace named by path (/proc/PID/ns/net). */
void net_enter(const char *path);

/* "127.0.0.1", port → address. Dies when it is not an IPv4 address. */
struct sockaddr_in net_address(const char *host, unsigned port);
/* A listening, non-blocking socket. port 0: the kernel's choice, stored back. */
int net_listen(struct sockaddr_in *address);
/*
 * A non-blocking connection under way. source: 0 = the kernel's choice, n = from 127.0.1.n, so that
 * more than 28,000 connections fit. -1 on failure, errno says why.
 */
int net_connect(const struct sockaddr_in *address, unsigned source);
void net_nodelay(int fd);
/* Acknowledge what has been received now, not 40 ms later. */
void net_quickack(int fd);

/* TLS 1.3 only, X25519; the client verifies nothing (its certificate is the server's own). */
SSL_CTX *net_tls_client(void);
SSL_CTX *net_tls_server(const char *certificate, const char *key);

/* The value behind "--name" in argv, or fallback. */
const char *net_option(int argc, char **argv, const char *name, const char *fallback);
double net_number(int argc, char **argv, const char *name, double fallback);
int net_flag(int argc, char **argv, const char *name);

#endif
