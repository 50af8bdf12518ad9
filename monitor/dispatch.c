/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dispatch.c - one QMP request to one reply (QEMU Machine Protocol
 * specification 1.1, sections 2.3 to 2.4.2).
 *
 * Thread class: in-band MACHINE_CALL in the main loop; out-of-band in the
 * monitors' thread without the lock. Invariants:
 *  1. Each request gets exactly one reply, with its id if it had one.
 *  2. A command whose handler is not linked in does not exist.
 *  3. A reply above MON_REPLY_MAX is replaced by an error.
 */
#include "mon-impl.h"
#include "opt.h"
#include "schema/schema.h"
#include "trace.h"

/* ---- replies -- */
static void reply_begin(JsonOut *o)
{
    *o = (JsonOut){ .buf = o->buf, .cap = o->cap, .pretty = o->pretty,
                    .first = true };
    json_out_begin(o, '{');
}

static void reply_id(JsonOut *o, const Json *id)
{
    if (id) {
        json_out_key(o, "id");
        json_out_value(o, id);
    }
}

/* The text, and the name that may have been meant. */
static char *reply_desc(const Error *err)
{
    const char *hint = error_hint_text(err);

    return g_str_has_prefix(hint, "Did you mean '")
        ? g_strdup_printf("%s. %.*s", error_text(err),
                          (int)strcspn(hint, "\n"), hint)
        : g_strdup(error_text(err));
}

void qmp_reply_error(JsonOut *o, const Json *id, const Error *err)
{
    g_autofree char *desc = NULL;

    reply_begin(o);
    reply_id(o, id);
    json_out_key(o, "error");
    json_out_begin(o, '{');
    json_out_key(o, "class");
    json_out_str(o, error_class_name(error_class(err)));
    json_out_key(o, "desc");
    desc = reply_desc(err);
    json_out_str(o, desc);
    json_out_end(o, '}');
    json_out_end(o, '}');
}

/* ---- a request -- */
struct QmpCall {
    Monitor *m;
    unsigned session;
    Json *req;
    const Json *id, *args;
    const Command *cmd;
    JsonOut *reply, own_reply;
    void (*done)(Monitor *m, unsigned session, JsonOut *reply);
    bool finished, async;
};

static bool request_member(const char *key, const Json *v, bool oob_ok,
                           const char **name, bool *oob, Error **errp)
{
    if (!strcmp(key, "execute") || (oob_ok && !strcmp(key, "exec-oob"))) {
        if (json_kind(v) != JSON_STR) {
            return error_set(errp, "QMP input member '%s' must be a string",
                             key);
        }
        if (*name) {
            return error_set(errp, "QMP input member 'execute' clashes with "
                             "'exec-oob'");
        }
        *name = json_str_of(v);
        *oob = key[4] == '-';
        return true;
    }
    if (!strcmp(key, "arguments")) {
        return json_kind(v) == JSON_OBJ ||
               error_set(errp, "QMP input member 'arguments' must be an object");
    }
    return !strcmp(key, "id") ||
           error_set(errp, "QMP input member '%s' is unexpected", key);
}

static void suggest_command(const char *name, Error **errp)
{
    OptWords w = { .n = 0 };

    for (unsigned i = 0; i < command_count; i++) {
        const Command *c = &commands[i];

        if (c->name && command_find(c->name) == c) {
            opt_word_add(&w, c->name);
        }
    }
    opt_suggest(&w, name, errp);
}

static const Command *request_command(Monitor *m, const Json *req,
                                      Error **errp)
{
    const char *name = NULL;
    bool oob = false, negotiated, oob_ok;
    const Command *c;

    pthread_mutex_lock(&mon_lock);
    negotiated = m->negotiated;
    oob_ok = m->oob;
    pthread_mutex_unlock(&mon_lock);
    if (json_kind(req) != JSON_OBJ) {
        error_set(errp, "QMP input must be a JSON object");
        return NULL;
    }
    for (size_t i = 0; i < json_count(req); i++) {
        if (!request_member(json_key_at(req, i), json_value_at(req, i), oob_ok,
                            &name, &oob, errp)) {
            return NULL;
        }
    }
    if (!name) {
        error_set(errp, "QMP input lacks member 'execute'");
        return NULL;
    }
    c = command_find(name);
    if (c && oob && !(c->flags & CMD_OOB)) {
        error_set(errp, "The command %s does not support OOB", name);
        return NULL;
    }
    if (negotiated == (!strcmp(name, "qmp_capabilities"))) {
        error_set_class(errp, ERROR_COMMAND_NOT_FOUND, negotiated
            ? "Capabilities negotiation is already complete, command ignored"
            : "Expecting capabilities negotiation with 'qmp_capabilities'");
        return NULL;
    }
    if (!c) {
        error_set_class(errp, ERROR_COMMAND_NOT_FOUND,
                        "The command %s has not been found", name);
        suggest_command(name, errp);
        return NULL;
    }
    if (mon_early && !(c->flags & CMD_PRECONFIG)) {
        error_set(errp, "The command '%s' is permitted only after machine "
                  "initialization has completed", name);
        return NULL;
    }
    return c;
}

/* Parses args into *arg, which is allocated where c has arguments. */
static bool command_args(const Command *c, const Json *args, bool text,
                         void **arg, Error **errp)
{
    *arg = NULL;
    if (c->arg) {
        bool ok;
        Json *none = args ? NULL : json_obj();

        *arg = g_malloc0(c->arg->size);
        ok = schema_parse(c->arg, args ? args : none, text, *arg, errp);
        json_free(none);
        return ok;
    }
    return !args || !json_count(args) ||
           error_set(errp, "Parameter '%s' is unexpected", json_key_at(args, 0));
}

bool command_call(const Command *c, const Json *args, bool text, void *ret,
                  Error **errp)
{
    void *arg;
    bool ok = command_args(c, args, text, &arg, errp) &&
              (command_is_twin(c) ? hmp_twin(c, args, ret, errp)
                                   : c->call(arg, ret, errp));

    if (arg) {
        schema_free(c->arg, arg);
        g_free(arg);
    }
    return ok;
}

static void reply_value(QmpCall *q, void *ret)
{
    JsonOut *o = q->reply;

    if (!(q->cmd->flags & CMD_RAW)) {
        reply_begin(o);
        json_out_key(o, "return");
        if (q->cmd->ret) {
            schema_emit(q->cmd->ret, ret, o);
        } else {
            json_out_begin(o, '{');
            json_out_end(o, '}');
        }
    }
    reply_id(o, q->id);
    json_out_end(o, '}');
}

static void call_command(QmpCall *q) MACHINE_CALL;
static void call_command(QmpCall *q)
{
    const QType *rt = q->cmd->flags & CMD_RAW ? NULL : q->cmd->ret;
    uint64_t small[32];                /* most replies fit                    */
    void *ret = rt && rt->size > sizeof(small) ? g_malloc(rt->size) : small;
    Error *err = NULL;

    if (rt) {
        memset(ret, 0, rt->size);
    }
    if (q->cmd->flags & CMD_RAW) {
        reply_begin(q->reply);
        json_out_key(q->reply, "return");
    }
    if (command_call(q->cmd, q->args, false, rt ? ret : (void *)q->reply,
                     &err)) {
        reply_value(q, ret);
        if (q->reply->n > MON_REPLY_MAX) {
            error_set(&err, "The reply to %s has more than %" PRIu64 " MiB",
                      q->cmd->name, MON_REPLY_MAX / MiB);
        }
    }
    if (rt) {
        schema_free(rt, ret);
    }
    if (ret != small) {
        g_free(ret);
    }
    if (err) {
        qmp_reply_error(q->reply, q->id, err);
        error_free(err);
    }
}

static void call_free(QmpCall *q)
{
    json_free(q->req);
    if (q->reply == &q->own_reply) {
        g_free(q->own_reply.buf);
    }
    g_free(q);
}

static void call_finish(QmpCall *q)
{
    q->finished = true;
    q->done(q->m, q->session, q->reply);
    if (q->async) {
        call_free(q);
    }
}

static void call_body(void *arg)
{
    QmpCall *q = arg;
    Monitor *before = mon_current;

    machine_assert_locked();
    mon_current = q->m;
    call_command(q);
    if (!q->async) {
        mon_current = before;
    }
    call_finish(q);
}

/* In the monitors' thread, mostly: such commands take no lock but what they
 * say. */
static void call_oob(QmpCall *q) NO_TSA;
static void call_oob(QmpCall *q)
{
    Monitor *before = mon_current;

    mon_current = q->m;
    call_command(q);
    mon_current = before;
    call_finish(q);
}

static void call_in_band(QmpCall *q)
{
    Monitor *before;

    if (!(q->cmd->flags & CMD_CO)) {
        call_body(q);
        return;
    }
    before = mon_current;
    co_enter(co_new(call_body, q));
    mon_current = before;
}

bool qmp_dispatch(Monitor *m, Json *req, bool oob,
                  void (*done)(Monitor *m, unsigned session, JsonOut *reply))
{
    QmpCall *q = g_new0(QmpCall, 1);
    Error *err = NULL;

    q->m = m;
    q->session = __atomic_load_n(&m->session, __ATOMIC_RELAXED);
    q->req = req;
    q->done = done;
    q->id = json_kind(req) == JSON_OBJ ? json_get(req, "id") : NULL;
    q->cmd = request_command(m, req, &err);
    q->own_reply.pretty = m->pretty;
    q->reply = oob || (q->cmd && q->cmd->flags & CMD_CO) ? &q->own_reply
                                                         : &m->reply;
    if (!q->cmd) {
        qmp_reply_error(q->reply, q->id, err);
        error_free(err);
        call_finish(q);
        call_free(q);
        return true;
    }
    q->args = json_get(req, "arguments");
    TRACE(qmp_command, "%s", q->cmd->name);
    if (oob) {
        call_oob(q);
    } else {
        call_in_band(q);
        if (!q->finished) {
            q->async = true;
            return false;
        }
    }
    call_free(q);
    return true;
}
