using System.Data.Common;
using System.Globalization;
using System.Threading.Channels;
using Microsoft.Data.Sqlite;
using Npgsql;

namespace Glimmer.Server.Accounting;

/// <summary>Keeps a record of each request in a database: a SQLite file, or PostgreSQL by a connection string. Requests never wait for it.</summary>
public sealed class UsageLog : IAsyncDisposable
{
    private const string Create = """
        CREATE TABLE IF NOT EXISTS glimmer_usage (
            time TEXT NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL, dialect TEXT NOT NULL, prompt BIGINT NOT NULL, cached BIGINT NOT NULL,
            output BIGINT NOT NULL, reasoning BIGINT NOT NULL, milliseconds BIGINT NOT NULL, finish TEXT NOT NULL)
        """;

    private const string Insert = """
        INSERT INTO glimmer_usage (time, key, model, dialect, prompt, cached, output, reasoning, milliseconds, finish)
        VALUES (@time, @key, @model, @dialect, @prompt, @cached, @output, @reasoning, @milliseconds, @finish)
        """;

    private readonly DbConnection _connection;
    private readonly Channel<UsageRecord> _records = Channel.CreateBounded<UsageRecord>(new BoundedChannelOptions(100_000) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true });
    private readonly SemaphoreSlim _using = new(1);
    private readonly Task _writer;

    private UsageLog(DbConnection connection)
    {
        _connection = connection;
        _writer = Task.Run(WriteAllAsync);
    }

    /// <summary>Opens a log.</summary>
    /// <param name="database">Path of a SQLite file, made when missing, or a connection string of PostgreSQL (it contains <c>Host=</c>).</param>
    /// <exception cref="DbException">It cannot be opened.</exception>
    public static UsageLog Open(string database)
    {
        ArgumentException.ThrowIfNullOrEmpty(database);
        DbConnection connection = database.Contains("Host=", StringComparison.OrdinalIgnoreCase)
            ? new NpgsqlConnection(database)
            : new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = database }.ToString());
        try
        {
            connection.Open();
            using DbCommand command = connection.CreateCommand();
            command.CommandText = Create;
            command.ExecuteNonQuery();
            return new UsageLog(connection);
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    /// <summary>Adds a record; it is written soon after.</summary>
    public void Add(UsageRecord record) => _records.Writer.TryWrite(record);

    /// <summary>All records of a time, in order.</summary>
    /// <param name="from">First time; null for all.</param>
    /// <param name="cancellationToken">Ends the reading.</param>
    public async Task<IReadOnlyList<UsageRecord>> ReadAsync(DateTimeOffset? from = null, CancellationToken cancellationToken = default)
    {
        await _using.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            await using DbCommand command = _connection.CreateCommand();
            command.CommandText = "SELECT time, key, model, dialect, prompt, cached, output, reasoning, milliseconds, finish FROM glimmer_usage WHERE time >= @from ORDER BY time";
            Add(command, "@from", from is { } start ? Text(start) : "");
            var records = new List<UsageRecord>();
            await using DbDataReader reader = await command.ExecuteReaderAsync(cancellationToken).ConfigureAwait(false);
            while (await reader.ReadAsync(cancellationToken).ConfigureAwait(false))
            {
                records.Add(new UsageRecord(
                    DateTimeOffset.Parse(reader.GetString(0), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal), reader.GetString(1), reader.GetString(2), reader.GetString(3), reader.GetInt64(4),
                    reader.GetInt64(5), reader.GetInt64(6), reader.GetInt64(7), reader.GetInt64(8), reader.GetString(9)));
            }

            return records;
        }
        finally
        {
            _using.Release();
        }
    }

    /// <summary>Writes what is left and closes the database.</summary>
    public async ValueTask DisposeAsync()
    {
        _records.Writer.TryComplete();
        await _writer.ConfigureAwait(false);
        await _connection.DisposeAsync().ConfigureAwait(false);
        _using.Dispose();
    }

    // What waits is written in one transaction.
    private async Task WriteAllAsync()
    {
        while (await _records.Reader.WaitToReadAsync().ConfigureAwait(false))
        {
            await _using.WaitAsync().ConfigureAwait(false);
            try
            {
                await using DbTransaction transaction = await _connection.BeginTransactionAsync().ConfigureAwait(false);
                while (_records.Reader.TryRead(out UsageRecord? record))
                    await WriteAsync(record, transaction).ConfigureAwait(false);
                await transaction.CommitAsync().ConfigureAwait(false);
            }
            catch (DbException)
            {
                // A full disk or a lost connection must not end the server; these records are lost.
            }
            finally
            {
                _using.Release();
            }
        }
    }

    private async Task WriteAsync(UsageRecord record, DbTransaction transaction)
    {
        await using DbCommand command = _connection.CreateCommand();
        (command.CommandText, command.Transaction) = (Insert, transaction);
        Add(command, "@time", Text(record.Time));
        Add(command, "@key", record.Key);
        Add(command, "@model", record.Model);
        Add(command, "@dialect", record.Dialect);
        Add(command, "@prompt", record.Prompt);
        Add(command, "@cached", record.Cached);
        Add(command, "@output", record.Output);
        Add(command, "@reasoning", record.Reasoning);
        Add(command, "@milliseconds", record.Milliseconds);
        Add(command, "@finish", record.End);
        await command.ExecuteNonQueryAsync().ConfigureAwait(false);
    }

    private static void Add(DbCommand command, string name, object value)
    {
        DbParameter parameter = command.CreateParameter();
        (parameter.ParameterName, parameter.Value) = (name, value);
        command.Parameters.Add(parameter);
    }

    // Sorts as text.
    private static string Text(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture);
}
