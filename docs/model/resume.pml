/* Resume: one session, its dialing and accepting side, and every circuit that ever carries it (PROTOCOL.md §6, §9, §10).
 *
 * Circuit 0 is that of OPEN and is attached at the start. Each further one begins with RESUME. Either side may lose any circuit but the
 * last at any moment, without the other knowing: what is in flight then arrives late, in part, or never. MACs are abstracted: nobody forges.
 * One step of a side is one atomic transition. `timeout` (nothing else can happen) is where completion is asserted.
 *
 * COMMIT    the accepting process crashes once and comes back with its last commit; acks and outputs wait for commits
 * ROLLBACK  it crashes once and comes back with any older record, having told acks and bytes beyond it
 * TWIN      a second dialing process starts from any older record of the first, which lives on or dies
 * FRESH_INSTANCE  a process that was never accepted takes a new instance with each RESUME, in place of one for all (R-19) */
#ifndef CIRCUITS
#define CIRCUITS 3
#endif
#ifndef UP
#define UP 2            /* bytes that the dialing application has written */
#endif
#ifndef DOWN
#define DOWN 1          /* bytes that the accepting application writes */
#endif
#ifndef WINDOW
#define WINDOW 2
#endif
#ifdef TWIN
#define PROCESSES 2
#else
#define PROCESSES 1
#endif
#define NONE 15
#define LAST (CIRCUITS - 1)

mtype = { RESUME, RESUMED, DATA, ACK, BUSY, STALE_GENERATION, TAKEN_OVER, STATE_LOST };

typedef Positions { byte received; byte acked; byte base; byte sent };   /* limit is acked + WINDOW */
typedef Dialing {
  bool ended; bool accepted; bool jumped;
  byte generation; byte instance;
  byte received; byte acked; byte base; byte sent;
  byte circuit; byte next; byte ackTold;     /* the circuit that carries the session, and how far this side has written on it */
  byte attempt; byte earlyEnd; byte ackAsked /* the circuit whose RESUME has no verdict yet */
};
typedef Asked { byte generation; byte instance };

/* the network */
chan up[CIRCUITS] = [3] of { mtype, byte, byte };
chan down[CIRCUITS] = [3] of { mtype, byte, byte };
Asked asked[CIRCUITS];                       /* the rest of the RESUME, and of the RESUMED, in flight on this circuit */
Positions askedAt[CIRCUITS];
Positions toldAt[CIRCUITS];
byte used = 1;                               /* circuits so far */
byte dialer[CIRCUITS];                       /* process that made it */
bool dialGone[CIRCUITS];                     /* this side neither reads nor writes it any more */
bool acceptGone[CIRCUITS];
byte superseded[CIRCUITS];                   /* the generation told in SUPERSEDED */

Dialing d[PROCESSES];

/* the accepting side, and what a crash leaves of it */
byte owner = 0; byte generation = 1; byte instance = 1;
byte received; byte acked; byte base; byte sent; byte next; byte ackTold;
byte written;                                /* COMMIT: outputs, of which `sent` are committed */
byte durable;                                /* COMMIT: consumed and committed */
typedef Record { byte generation; byte instance; byte acked; byte base; byte sent };
Record record;
bool crashed;

/* ghosts */
short generations = 2;                       /* bit g: generation g was accepted */
byte limitTold = WINDOW;
byte top[2];                                 /* end of what was taken from each process (TWIN), or from each life (ROLLBACK) */
byte forkAt;                                   /* offset from which the two differ */
bool forked; bool died;
byte life[CIRCUITS];

hidden byte x; hidden byte y; hidden byte fits;

#if defined(COMMIT) && !defined(MUTANT_ACK_BEFORE_COMMIT)
#define ACKED durable
#else
#define ACKED acked
#endif
#define CAN_UP(k) (acceptGone[k] || nfull(up[k]))
#define CAN_DOWN(k) (dialGone[k] || nfull(down[k]))
#define MAX(a, b) ((a) > (b) -> (a) : (b))

/* Macros, since an inline takes no field of a structure as its argument. What one side writes when the other has left is lost. */
#define PUT_UP(k, ...) if :: acceptGone[k] :: else -> up[k]!__VA_ARGS__ fi
#define PUT_DOWN(k, ...) if :: dialGone[k] :: else -> down[k]!__VA_ARGS__ fi
#define CLEAR(p) p.received = 0; p.acked = 0; p.base = 0; p.sent = 0
#define LEAVE_UP(k) acceptGone[k] = true; asked[k].generation = 0; asked[k].instance = 0; CLEAR(askedAt[k]); \
  do :: nempty(up[k]) -> up[k]?_, _, _ :: empty(up[k]) -> break od
#define LEAVE_DOWN(k) dialGone[k] = true; superseded[k] = 0; life[k] = 0; CLEAR(toldAt[k]); \
  do :: nempty(down[k]) -> down[k]?_, _, _ :: empty(down[k]) -> break od

/* ------------------------------------------------------------------ dialing side */

/* After RESUME without a verdict: a life of the accepting side with an older record may have taken it, and written bytes of its own.
 * What the older circuit still holds would be of another life, and no position would tell. */
#ifdef MUTANT_KEEPS_OLDER
#define LEAVE_OLDER(p) skip
#else
#define LEAVE_OLDER(p) if :: d[p].circuit != NONE -> LEAVE_DOWN(d[p].circuit); d[p].circuit = NONE; d[p].next = 0; d[p].ackTold = 0 :: else fi
#endif

inline dial(p) {                             /* R-1, R-2, R-3 */
  d[p].attempt = used; used++;
  dialer[d[p].attempt] = p;
  d[p].generation++;
#ifdef FRESH_INSTANCE
  if :: !d[p].accepted && !d[p].jumped -> d[p].instance = d[p].generation :: else fi;
#else
  if :: d[p].instance == 0 -> d[p].instance = d[p].generation :: else fi;
#endif
  x = d[p].attempt;
  asked[x].generation = d[p].generation; asked[x].instance = d[p].instance;
  askedAt[x].received = d[p].received; askedAt[x].acked = d[p].acked; askedAt[x].base = d[p].base;
#ifdef MUTANT_END_FOR_SENT
  askedAt[x].sent = UP;
#else
  askedAt[x].sent = d[p].sent;
#endif
  up[x]!RESUME, 0, 0;
  d[p].earlyEnd = 0; d[p].ackAsked = d[p].acked;
#ifdef MUTANT_FRESH_EARLY
  if :: !d[p].accepted && d[p].sent < UP -> d[p].sent++ :: else fi;
#endif
  if                                         /* early data: all of base…sent, or nothing */
  :: d[p].base < d[p].sent -> up[x]!DATA, d[p].base, d[p].sent; d[p].earlyEnd = d[p].sent
  :: true
  fi
}

inline finish(p) {                           /* the session has ended for this process */
  if :: d[p].circuit != NONE -> LEAVE_DOWN(d[p].circuit); d[p].circuit = NONE :: else fi;
  if :: d[p].attempt != NONE -> LEAVE_DOWN(d[p].attempt); d[p].attempt = NONE :: else fi;
  d[p].ended = true; d[p].earlyEnd = 0; d[p].ackAsked = 0; d[p].next = 0; d[p].ackTold = 0
}

inline goOn(p) {                             /* R-17: the older circuit still counts, from where this side stopped there */
  LEAVE_DOWN(d[p].attempt);
#ifdef MUTANT_WRONG_OFFSET
  if :: d[p].circuit != NONE && d[p].earlyEnd > d[p].next -> d[p].next = d[p].earlyEnd :: else fi;
#endif
  d[p].attempt = NONE; d[p].earlyEnd = 0; d[p].ackAsked = 0
}

inline resumed(p) {                          /* R-9, R-10, R-11 */
  x = d[p].attempt;
  fits = d[p].base <= toldAt[x].received && toldAt[x].received <= d[p].sent &&
    toldAt[x].base <= d[p].received && d[p].received <= toldAt[x].sent && d[p].base <= toldAt[x].acked;
  if
  :: !fits -> finish(p)
  :: else ->
    if :: d[p].circuit != NONE -> LEAVE_DOWN(d[p].circuit) :: else fi;
    d[p].circuit = x; d[p].attempt = NONE;
    d[p].accepted = true;
    d[p].base = MAX(d[p].base, toldAt[x].acked);
#ifdef MUTANT_ACK_FORGOTTEN
    d[p].ackTold = d[p].acked;               /* what was consumed since the RESUME was written has not been told */
#else
    d[p].ackTold = d[p].ackAsked;
#endif
#ifdef MUTANT_GOES_ON_AT_SENT
    d[p].next = d[p].sent;
#else
    d[p].next = MAX(toldAt[x].received, d[p].earlyEnd);
#endif
    d[p].earlyEnd = 0; d[p].ackAsked = 0;
    CLEAR(toldAt[x])
  fi
}

inline overtaken(p, g) {                     /* TAKEN_OVER or STALE_GENERATION, R-20 */
  goOn(p);
  if
  :: d[p].accepted || d[p].jumped -> finish(p)
  :: else -> d[p].jumped = true; d[p].generation = MAX(d[p].generation, g); d[p].instance = d[p].generation + 1
  fi
}

inline takeDown(p) {                         /* DATA from x to y on the circuit of p */
  assert(x <= d[p].received);                /* S-2: never a gap */
  assert(y <= d[p].acked + WINDOW);          /* S-4 */
  if :: y > d[p].received ->
#ifdef ROLLBACK
       top[life[d[p].circuit]] = y;
       assert(!(top[0] > forkAt && top[1] > forkAt));  /* never bytes of two lives in one log */
#endif
       d[p].received = y
     :: else
  fi;
#ifndef ROLLBACK
  assert(d[p].received <= sent)
#endif
}

#ifdef MUTANT_WRITES_WHILE_FROZEN
#define MAY_WRITE(p) (d[p].circuit != NONE && CAN_UP(d[p].circuit))
#else
#define MAY_WRITE(p) (d[p].circuit != NONE && d[p].attempt == NONE && CAN_UP(d[p].circuit))
#endif
#define MAY_READ(p) (d[p].circuit != NONE && d[p].attempt == NONE && nempty(down[d[p].circuit]))

proctype DialingSide(byte p) {
end: do
  :: atomic { MAY_WRITE(p) && d[p].next == d[p].sent && d[p].sent < UP && d[p].sent < d[p].base + WINDOW ->
       PUT_UP(d[p].circuit, DATA, d[p].sent, d[p].sent + 1); d[p].sent++; d[p].next++ }
  :: atomic { MAY_WRITE(p) && d[p].next < d[p].sent ->
       PUT_UP(d[p].circuit, DATA, d[p].next, d[p].sent); d[p].next = d[p].sent }
  :: atomic { MAY_WRITE(p) && d[p].ackTold < d[p].acked ->
       PUT_UP(d[p].circuit, ACK, d[p].acked, 0); d[p].ackTold = d[p].acked }
  :: atomic { !d[p].ended && d[p].acked < d[p].received -> d[p].acked++ }
  :: atomic { MAY_READ(p) && down[d[p].circuit]?[DATA, _, _] -> down[d[p].circuit]?DATA, x, y; takeDown(p) }
  :: atomic { MAY_READ(p) && down[d[p].circuit]?[ACK, _, _] -> down[d[p].circuit]?ACK, x, y;
       assert(d[p].base <= x && x <= d[p].sent);   /* A-2 */
       d[p].base = x }
  :: atomic { !d[p].ended && d[p].attempt == NONE && used < CIRCUITS -> dial(p) }
  :: atomic { d[p].attempt != NONE && nempty(down[d[p].attempt]) ->
       if
       :: down[d[p].attempt]?RESUMED, _, _ -> resumed(p)
       :: down[d[p].attempt]?BUSY, _, _ -> goOn(p)
       :: down[d[p].attempt]?STALE_GENERATION, x, _ -> overtaken(p, x)
       :: down[d[p].attempt]?TAKEN_OVER, x, _ -> overtaken(p, x)
       :: down[d[p].attempt]?STATE_LOST, _, _ -> finish(p)
       fi }
  /* Losing a circuit: any but the last at any time; one that the other side has left, at its end of stream. */
  :: atomic { d[p].attempt != NONE && (d[p].attempt != LAST || (acceptGone[d[p].attempt] && empty(down[d[p].attempt]))) ->
       goOn(p);                              /* no verdict */
#ifdef ROLLBACK
       LEAVE_OLDER(p)
#endif
     }
  :: atomic { d[p].circuit != NONE && (d[p].circuit != LAST || (acceptGone[d[p].circuit] && empty(down[d[p].circuit]))) ->
       x = superseded[d[p].circuit]; y = empty(down[d[p].circuit]);
       LEAVE_DOWN(d[p].circuit); d[p].circuit = NONE; d[p].next = 0; d[p].ackTold = 0;
       if :: y && x > d[p].generation -> finish(p)  /* R-18, when SUPERSEDED got through */
          :: true
       fi }
  od
}

/* ------------------------------------------------------------------ accepting side */

inline refuse(k, code, g) { PUT_DOWN(k, code, g, 0); LEAVE_UP(k) }

inline accept(k) {                           /* the rest of R-5, R-8, R-10, R-16 */
  x = asked[k].generation;
  assert(!(generations & (1 << x)));         /* one owner per generation */
  generations = generations | (1 << x);
  if :: owner != NONE && owner != k ->
#ifdef MUTANT_NO_FENCE
       superseded[owner] = x
#else
       superseded[owner] = x; LEAVE_UP(owner)
#endif
     :: else fi;
  generation = x; instance = asked[k].instance;
#ifdef COMMIT
  record.generation = generation; record.instance = instance;   /* a claim is durable */
#endif
  base = MAX(base, askedAt[k].acked);
  next = askedAt[k].received;
  ackTold = ACKED; limitTold = MAX(limitTold, ackTold + WINDOW);
  if :: !dialGone[k] ->
       toldAt[k].received = received; toldAt[k].acked = ACKED; toldAt[k].base = base; toldAt[k].sent = sent; life[k] = crashed
     :: else fi;
  owner = k;
  PUT_DOWN(k, RESUMED, 0, 0);
  asked[k].generation = 0; asked[k].instance = 0; CLEAR(askedAt[k])
}

#ifdef MUTANT_ANY_GENERATION
#define NEWER(k) true
#else
#define NEWER(k) (asked[k].generation > generation)
#endif
#ifdef MUTANT_NO_INSTANCE
#define SAME(k) true
#else
#define SAME(k) (asked[k].instance == instance || asked[k].instance > generation)
#endif

inline judge(k) {                            /* R-5 from the generation on: one step */
  fits = base <= askedAt[k].received && askedAt[k].received <= sent && askedAt[k].base <= received && base <= askedAt[k].acked;
#ifndef MUTANT_SENT_UNCHECKED
  fits = fits && received <= askedAt[k].sent;
#endif
  if
  :: k != LAST -> refuse(k, BUSY, 0)         /* load, draining, policy: a refusal that means later */
  :: NEWER(k) && SAME(k) && fits -> accept(k)
  :: NEWER(k) && SAME(k) && !fits ->
#ifdef MUTANT_POSITIONS_LAST
       if :: owner != NONE -> superseded[owner] = asked[k].generation; LEAVE_UP(owner); owner = NONE; next = 0; ackTold = 0 :: else fi;
       generation = asked[k].generation; instance = asked[k].instance;
#endif
       refuse(k, STATE_LOST, 0)
  :: !(NEWER(k) && SAME(k)) && asked[k].instance == instance -> refuse(k, STALE_GENERATION, generation)
  :: !(NEWER(k) && SAME(k)) && asked[k].instance != instance -> refuse(k, TAKEN_OVER, generation)
  fi
}

inline takeUp(k) {                           /* DATA from x to y on circuit k */
  assert(x <= received);                     /* S-2: never a gap */
  assert(y <= limitTold);                    /* S-4 */
  if :: y > received ->
#ifdef TWIN
       top[dialer[k]] = y;
       assert(!(forked && top[0] > forkAt && top[1] > forkAt));  /* never bytes of two processes in one log */
#endif
       received = y
     :: else
  fi;
#ifndef TWIN
  assert(received <= d[0].sent)
#endif
}

#ifdef MUTANT_NO_FENCE
#define CARRIES(k) (owner == k || superseded[k] != 0)
#else
#define CARRIES(k) (owner == k)
#endif

proctype Circuit(byte k) {                   /* the accepting side's end of one circuit */
end: do
#ifdef MUTANT_EARLY_BEFORE_VERDICT
  :: atomic { !acceptGone[k] && up[k]?[RESUME, _, _] -> up[k]?RESUME, _, _;
       if :: up[k]?[DATA, _, _] -> up[k]?DATA, x, y; if :: x <= received -> takeUp(k) :: else fi :: else fi;
       judge(k) }
#else
  :: atomic { !acceptGone[k] && up[k]?[RESUME, _, _] -> up[k]?RESUME, _, _; judge(k) }
#endif
  :: atomic { !acceptGone[k] && CARRIES(k) && up[k]?[DATA, _, _] -> up[k]?DATA, x, y; takeUp(k) }
  :: atomic { !acceptGone[k] && CARRIES(k) && up[k]?[ACK, _, _] -> up[k]?ACK, x, y;
       assert(base <= x && x <= sent);       /* A-2 */
       base = x }
  :: atomic { k < used && !acceptGone[k] && (k != LAST || (dialGone[k] && empty(up[k]))) ->
       LEAVE_UP(k); if :: owner == k -> owner = NONE; next = 0; ackTold = 0 :: else fi }
  od
}

proctype AcceptingSide() {
end: do
  :: atomic { acked < received -> acked++ }
#ifdef COMMIT
  :: atomic { written < DOWN && written < base + WINDOW -> written++ }
  :: atomic { durable < acked || sent < written ->
       durable = acked; sent = written; record.acked = acked; record.base = base; record.sent = sent }
#else
  :: atomic { owner != NONE && CAN_DOWN(owner) && next == sent && sent < DOWN && sent < base + WINDOW ->
       PUT_DOWN(owner, DATA, sent, sent + 1); sent++; next++ }
#endif
  :: atomic { owner != NONE && CAN_DOWN(owner) && next < sent -> PUT_DOWN(owner, DATA, next, sent); next = sent }
  :: atomic { owner != NONE && CAN_DOWN(owner) && ackTold < ACKED ->
       PUT_DOWN(owner, ACK, ACKED, 0); ackTold = ACKED; limitTold = MAX(limitTold, ACKED + WINDOW) }
#ifdef ROLLBACK
  :: atomic { !crashed && (record.acked != acked || record.sent != sent || record.generation != generation) ->
       record.generation = generation; record.instance = instance; record.acked = acked; record.base = base; record.sent = sent }
#endif
#if defined(COMMIT) || defined(ROLLBACK)
  :: atomic { !crashed && used < CIRCUITS ->
       crashed = true; owner = NONE; next = 0; ackTold = 0;
       generation = record.generation; instance = record.instance;
       acked = record.acked; received = acked; durable = acked; base = record.base; sent = record.sent; written = sent;
       limitTold = acked + WINDOW; forkAt = sent;
       x = 0; do :: x < used -> LEAVE_UP(x); x++ :: else -> break od }
#endif
  od
}

#ifdef TWIN
proctype Fate() {
end: do
  :: atomic { !forked ->                     /* the second process: a record of the first, taken now, used whenever it dials */
       forked = true; forkAt = d[0].sent;
       d[1].ended = false; d[1].generation = d[0].generation;
       d[1].received = d[0].acked; d[1].acked = d[0].acked; d[1].base = d[0].base; d[1].sent = d[0].sent }
  :: atomic { forked && !d[0].ended -> died = true; finish(0) }
  od
}
#endif

#define COMPLETE(p) (!d[p].ended && received == UP && acked == UP && d[p].base == UP && \
  sent == DOWN && d[p].acked == DOWN && base == DOWN)

proctype Verdict() {
  atomic { timeout ->
#ifdef TWIN
    /* A process ends only because the other was accepted, or because it is too old. */
    assert(died || !d[0].ended || !d[1].ended)
#else
#ifdef ROLLBACK
    assert(COMPLETE(0) || (crashed && d[0].ended))
#else
    assert(COMPLETE(0))
#endif
#endif
  }
}

init {
  atomic {
    d[0].accepted = true; d[0].generation = 1; d[0].instance = 1; d[0].attempt = NONE;
    record.generation = 1; record.instance = 1;
#ifdef TWIN
    d[1].ended = true; d[1].circuit = NONE; d[1].attempt = NONE;
    run DialingSide(1); run Fate();
#endif
    run DialingSide(0); run AcceptingSide(); run Verdict();
    x = 0; do :: x < CIRCUITS -> run Circuit(x); x++ :: else -> break od
  }
}
