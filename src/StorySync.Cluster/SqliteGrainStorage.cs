using System.Globalization;
using Microsoft.Data.Sqlite;
using Orleans.Runtime;
using Orleans.Storage;

namespace StorySync.Cluster;

/// <summary>Grains' states in a SQLite file, for a cluster of one process: Orleans' storage on ADO.NET does not know SQLite.</summary>
internal sealed class SqliteGrainStorage : IGrainStorage, IDisposable
{
    private readonly FileStream held;
    private readonly string connection;
    private readonly IGrainStorageSerializer serializer;

    public SqliteGrainStorage(string file, IGrainStorageSerializer serializer)
    {
        this.serializer = serializer;
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(file))!);
        held = Hold(file);
        connection = new SqliteConnectionStringBuilder { DataSource = file }.ToString();
        using var opened = Open();
        using var command = opened.CreateCommand();
        command.CommandText =
            "PRAGMA journal_mode = WAL; "
            + "CREATE TABLE IF NOT EXISTS grains (id TEXT PRIMARY KEY, version INTEGER NOT NULL, state BLOB NOT NULL)";
        command.ExecuteNonQuery();
    }

    public void Dispose() => held.Dispose();

    public Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState) => RunAsync(command =>
    {
        command.CommandText = "SELECT version, state FROM grains WHERE id = $id";
        using var reader = command.ExecuteReader();
        if (reader.Read())
        {
            grainState.State = serializer.Deserialize<T>(new BinaryData((byte[])reader[1]));
            (grainState.ETag, grainState.RecordExists) = (Text(reader.GetInt64(0)), true);
        }
        else
        {
            (grainState.State, grainState.ETag, grainState.RecordExists) = (Activator.CreateInstance<T>(), null, false);
        }
    }, stateName, grainId);

    public Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState) => RunAsync(command =>
    {
        var version = Version(grainState.ETag);
        command.CommandText = version == 0
            ? "INSERT INTO grains (id, version, state) VALUES ($id, 1, $state) ON CONFLICT DO NOTHING"
            : "UPDATE grains SET version = version + 1, state = $state WHERE id = $id AND version = $version";
        command.Parameters.AddWithValue("$version", version);
        command.Parameters.AddWithValue("$state", serializer.Serialize(grainState.State).ToArray());
        RequireOne(command, grainId, grainState.ETag);
        (grainState.ETag, grainState.RecordExists) = (Text(version + 1), true);
    }, stateName, grainId);

    public Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState) => RunAsync(command =>
    {
        if (grainState.RecordExists)
        {
            command.CommandText = "DELETE FROM grains WHERE id = $id AND version = $version";
            command.Parameters.AddWithValue("$version", Version(grainState.ETag));
            RequireOne(command, grainId, grainState.ETag);
        }

        (grainState.State, grainState.ETag, grainState.RecordExists) = (Activator.CreateInstance<T>(), null, false);
    }, stateName, grainId);

    /// <summary>A file is written to on a thread that may wait for the disk, which those of grains may not.</summary>
    private Task RunAsync(Action<SqliteCommand> run, string stateName, GrainId grainId) => Task.Run(() =>
    {
        using var opened = Open();
        using var command = opened.CreateCommand();
        command.Parameters.AddWithValue("$id", $"{grainId}/{stateName}");
        run(command);
    });

    /// <exception cref="InvalidOperationException">Another process has the file.</exception>
    private static FileStream Hold(string file)
    {
        try
        {
            return new FileStream($"{file}.lock", FileMode.OpenOrCreate, FileAccess.Write, FileShare.None);
        }
        catch (IOException exception)
        {
            throw new InvalidOperationException(
                $"{file} belongs to another process that runs; give each process a {nameof(StorySyncClusterOptions.Folder)} of its own, or, "
                + $"to have one cluster of both, {nameof(StorySyncClusterOptions.Redis)}.",
                exception);
        }
    }

    private SqliteConnection Open()
    {
        var opened = new SqliteConnection(connection);
        opened.Open();
        return opened;
    }

    private static void RequireOne(SqliteCommand command, GrainId grainId, string? etag)
    {
        if (command.ExecuteNonQuery() != 1)
        {
            throw new InconsistentStateException($"{grainId} was written by another activation.", "another", etag ?? "none");
        }
    }

    private static long Version(string? etag) => etag is null ? 0 : long.Parse(etag, CultureInfo.InvariantCulture);

    private static string Text(long version) => version.ToString(CultureInfo.InvariantCulture);
}
