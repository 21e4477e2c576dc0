/* Commit: one session of a server whose records are in a store (DESIGN §7, docs/durability.md, docs/decisions/0007).
 *
 * The client has written MESSAGES messages and END; they are in its outbox until they are acked. A handler acts on session.data twice, and sends an
 * answer in between. A timer pushes: data and output in one turn. The process dies between any two steps, and another one claims the record.
 * A call to the store is done, or not, or will be done later, and its caller may learn nothing of it; then it repeats the call. What is in the data
 * and in an output is the life that put it there: two lives do not do the same. Circuits are left out (resume.pml has them): what is released reaches
 * the client at any later moment, or when the session is resumed.
 *
 * ROLLBACK  the store goes back to an older record once
 * PATIENT   the client ends when it has all outputs, not before */
#ifndef MESSAGES
#define MESSAGES 2
#endif
#ifndef PUSHES
#define PUSHES 1
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef FAULTS
#define FAULTS 1        /* calls to the store whose answer is never seen */
#endif
#ifdef PATIENT
#define MAY_END (taken == OUTPUTS)
#else
#define MAY_END true
#endif
#define OUTPUTS (MESSAGES + PUSHES)
#define UP_END (MESSAGES + 1)     /* END takes one position */
#define DOWN_END (OUTPUTS + 1)

mtype = { IDLE, BEGUN, HALF };             /* the message in progress */
mtype = { NOTHING, DONE, FENCED, BEHIND }; /* answers of the store */

typedef Data { byte first[MESSAGES]; byte second[MESSAGES]; byte push[PUSHES] };   /* the life that acted; 0: none yet */
typedef Boundary { byte cursor; byte sent; Data data };
typedef Write {
  bool there; bool whole;
  byte tenure; byte number; byte cursor; byte from; byte sent;
  Data data; byte out[OUTPUTS]
};
typedef Record { byte tenure; byte number; byte cursor; byte sent; Data data; byte out[OUTPUTS] };

/* the process, which all of this goes with */
bool up = true;
byte life = 1; byte tenure = 1; byte number;
byte received; byte consumed; byte sent;
mtype progress = IDLE;
Data data; byte out[OUTPUTS];              /* 4 * (index + 1) + life; pushes stand behind the messages */
Boundary captured; bool due;               /* the newest boundary, and that it is not written */
bool waiting; bool whole; mtype answer = NOTHING;
byte releasedIn; byte releasedOut;

Write flying;                              /* on its way, or waited for */
Write late;                                /* a call that nobody waits for any more */
Record record; Record older;

/* the client */
byte freed; byte taken; byte seen[OUTPUTS]; bool stateLost;

byte faults; byte crashes; bool rolled;
hidden byte i;

#define COPY_DATA(to, was) \
  i = 0; do :: i < MESSAGES -> to.first[i] = was.first[i]; to.second[i] = was.second[i]; i++ :: else -> break od; \
  i = 0; do :: i < PUSHES -> to.push[i] = was.push[i]; i++ :: else -> break od
#define COPY_OUT(to, was) i = 0; do :: i < OUTPUTS -> to[i] = was[i]; i++ :: else -> break od
#define COPY(to, was) to.tenure = was.tenure; to.number = was.number; to.cursor = was.cursor; to.sent = was.sent; \
  COPY_DATA(to.data, was.data); COPY_OUT(to.out, was.out)
#define FORGET(w) w.tenure = 0; w.number = 0; w.cursor = 0; w.from = 0; w.sent = 0; w.whole = false; \
  i = 0; do :: i < MESSAGES -> w.data.first[i] = 0; w.data.second[i] = 0; i++ :: else -> break od; \
  i = 0; do :: i < PUSHES -> w.data.push[i] = 0; i++ :: else -> break od; \
  i = 0; do :: i < OUTPUTS -> w.out[i] = 0; i++ :: else -> break od
#define SEND(what) out[sent] = 4 * ((what) + 1) + life; sent++

/* ------------------------------------------------------------------ the process */

/* What is captured here is what the record of this boundary will hold; the next message may begin while it is being written. */
inline capture() {
  captured.cursor = consumed; captured.sent = sent;
#ifdef MUTANT_RECEIVED_FOR_CONSUMED
  captured.cursor = received;
#endif
  COPY_DATA(captured.data, data);
  due = true
}

#ifdef MUTANT_BOUNDARY_IN_MESSAGE
#define BOUNDARY true
#else
#define BOUNDARY (progress == IDLE)
#endif

inline fill(boundaryData) {
  flying.tenure = tenure; flying.number = number + 1; flying.whole = whole;
  flying.cursor = captured.cursor; flying.sent = captured.sent;
  COPY_DATA(flying.data, boundaryData); COPY_OUT(flying.out, out)
}

inline release() {
  releasedIn = flying.cursor;
  releasedOut = flying.sent
}

inline write() {
  due = false; waiting = true; flying.there = true;
#ifdef MUTANT_DATA_OF_ANOTHER_MOMENT
  fill(data)
#else
  fill(captured.data)
#endif
  flying.from = releasedOut;
#ifdef MUTANT_RELEASE_WHEN_ASKED
  release()
#endif
}

inline done() { release(); number++; waiting = false; whole = false; FORGET(flying) }

inline die() {
  up = false; crashes++;
  if :: flying.there && !late.there -> COPY(late, flying); late.from = flying.from; late.whole = flying.whole; late.there = true :: else fi;
  flying.there = false; FORGET(flying);
  waiting = false; whole = false; answer = NOTHING; due = false; progress = IDLE
}

inline load() {
  number = record.number; consumed = record.cursor; received = record.cursor; sent = record.sent;
  COPY_DATA(data, record.data); COPY_OUT(out, record.out);
  releasedIn = consumed; releasedOut = sent
}

inline resumed() {                         /* positions as of this instant */
  if
  :: freed <= consumed && taken <= sent -> up = true; captured.cursor = consumed; captured.sent = sent; COPY_DATA(captured.data, data)
  :: else -> assert(rolled); stateLost = true   /* positions never fall, unless the store lost its last writes */
  fi
}

proctype Process() {
#ifdef MUTANT_READ_BEFORE_CLAIM
  bool read;
#endif
end: do
  :: atomic { up && (received < MESSAGES || (received == MESSAGES && MAY_END)) -> received++ }
  :: atomic { up && progress == IDLE && consumed < received && consumed < MESSAGES -> progress = BEGUN }
  :: atomic { up && progress == BEGUN ->
       assert(data.first[consumed] == 0);  /* each message acts once */
       data.first[consumed] = life; SEND(consumed); progress = HALF
#ifdef MUTANT_BOUNDARY_IN_MESSAGE
       ; capture()
#endif
     }
#ifdef MUTANT_FLUSH_IN_MESSAGE
  :: atomic { up && progress == HALF && taken == sent ->
#else
  :: atomic { up && progress == HALF ->
#endif
       assert(data.second[consumed] == 0);
       data.second[consumed] = life; progress = IDLE; consumed++; capture() }
  :: atomic { up && data.push[PUSHES - 1] == 0 ->
       i = 0; do :: data.push[i] != 0 -> i++ :: else -> break od;
       data.push[i] = life; SEND(MESSAGES + i);
#ifndef MUTANT_IDLE_PUSH_WAITS
       if :: BOUNDARY -> capture() :: else fi
#endif
     }
  :: atomic { up && progress == IDLE && consumed == MESSAGES && received == UP_END -> consumed = UP_END; capture() }
  /* Its own END, once that of its peer counts as consumed. */
  :: atomic { up && releasedIn == UP_END && sent == OUTPUTS -> sent = DOWN_END; capture() }

  :: atomic { up && due && !waiting -> write() }
  :: atomic { up && waiting && answer == DONE -> answer = NOTHING; done() }
  :: atomic { up && waiting && answer == BEHIND -> answer = NOTHING; whole = true; flying.whole = true; flying.there = true }
  :: atomic { up && waiting && !flying.there && answer == NOTHING ->   /* nobody knows whether it was done */
#ifdef MUTANT_UNKNOWN_RELEASES
       done()
#else
       flying.there = true;
#ifdef MUTANT_OTHER_WRITE_SAME_NUMBER
       fill(captured.data); due = false
#endif
#endif
     }

  :: atomic { up && crashes < CRASHES -> die() }
#ifdef MUTANT_READ_BEFORE_CLAIM
  :: atomic { !up && !stateLost && !read -> read = true; life++; load() }
  :: atomic { !up && !stateLost && read -> read = false; tenure = life; record.tenure = life; resumed() }
#else
  :: atomic { !up && !stateLost -> life++; tenure = life; record.tenure = life; load(); resumed() }
#endif
  od
}

/* ------------------------------------------------------------------ the store */

inline apply(w) {
  assert(w.whole || w.from <= record.sent);    /* what it appends follows what is there */
  record.tenure = w.tenure; record.number = w.number; record.cursor = w.cursor;
  COPY_DATA(record.data, w.data);
  i = (w.whole -> 0 : w.from);
  do :: i < w.sent && i < OUTPUTS -> record.out[i] = w.out[i]; i++ :: else -> break od;
#ifdef MUTANT_APPENDS_AGAIN
  record.sent = (w.whole -> w.sent : record.sent + w.sent - w.from);
#else
#ifdef MUTANT_NO_OUTBOX
  record.sent = w.from;
#else
  record.sent = w.sent;
#endif
#endif
}

#ifdef MUTANT_DEAD_WRITES
#define OUTRUN(w) false
#else
#define OUTRUN(w) (record.tenure > w.tenure)
#endif
#if defined(MUTANT_NUMBER_UNCHECKED) || defined(MUTANT_APPENDS_AGAIN)
#define AGAIN(w) false
#else
#define AGAIN(w) (record.tenure == w.tenure && w.number <= record.number)
#endif
#ifdef MUTANT_GAP_UNSEEN
#define MISSING(w) false
#else
#define MISSING(w) (!w.whole && (record.tenure < w.tenure || w.number > record.number + 1))
#endif

inline judge(w, told) {
  if
  :: OUTRUN(w) -> told = FENCED
  :: !OUTRUN(w) && AGAIN(w) -> told = DONE
  :: !OUTRUN(w) && !AGAIN(w) && MISSING(w) -> told = BEHIND
  :: !OUTRUN(w) && !AGAIN(w) && !MISSING(w) -> apply(w); told = DONE
  fi
}

proctype Store() {
  mtype told;
end: do
  :: atomic { flying.there && up -> flying.there = false; judge(flying, told);
       if
       :: answer = told; assert(told != FENCED)        /* nobody else has claimed it */
       :: faults < FAULTS -> faults++                  /* the answer is lost */
       fi; told = 0 }
  :: atomic { flying.there && up && faults < FAULTS -> faults++; flying.there = false }
  :: atomic { flying.there && up && faults < FAULTS && !late.there ->
       faults++; flying.there = false; COPY(late, flying); late.from = flying.from; late.whole = flying.whole; late.there = true }
  :: atomic { late.there -> late.there = false; judge(late, told); told = 0; FORGET(late) }
#ifdef ROLLBACK
  :: atomic { !rolled && (older.number != record.number || older.tenure != record.tenure) -> COPY(older, record) }
  :: atomic { !rolled -> rolled = true; COPY(record, older) }
#endif
  od
}

/* ------------------------------------------------------------------ the client */

#ifdef MUTANT_ACK_BEFORE_RECORD
#define ACKABLE consumed
#else
#define ACKABLE releasedIn
#endif
#ifdef MUTANT_OUTPUT_BEFORE_RECORD
#define RELEASED sent
#else
#define RELEASED releasedOut
#endif

proctype Client() {
  byte what;
end: do
  :: atomic { up && freed < ACKABLE ->
       freed = ACKABLE;
#ifndef ROLLBACK
       assert(freed <= record.cursor)      /* no ack before its record */
#endif
     }
  :: atomic { up && taken < RELEASED ->
#ifndef ROLLBACK
       assert(taken < record.sent);         /* no output before its record */
#endif
       if
       :: taken < OUTPUTS ->
            what = out[taken] / 4 - 1; assert(seen[what] == 0); seen[what] = out[taken] % 4; what = 0
       :: else
       fi;
       taken++ }
  od
}

proctype Verdict() {
  atomic { timeout ->
    if
    :: stateLost -> assert(rolled && crashes > 0)
    :: else ->
       assert(freed == UP_END && taken == DOWN_END && consumed == UP_END && sent == DOWN_END);
       assert(rolled || (record.cursor == UP_END && record.sent == DOWN_END));   /* an idle owner does not notice */
       /* What the client has seen is what the data has: of one life each, both halves of every message. */
       i = 0;
       do :: i < MESSAGES -> assert(seen[i] != 0 && data.first[i] == seen[i] && data.second[i] == seen[i]); i++ :: else -> break od;
       i = 0;
       do :: i < PUSHES -> assert(seen[MESSAGES + i] != 0 && data.push[i] == seen[MESSAGES + i]); i++ :: else -> break od
    fi
  }
}

init {
  atomic {
    record.tenure = 1; older.tenure = 1;
    run Process(); run Store(); run Client(); run Verdict()
  }
}
